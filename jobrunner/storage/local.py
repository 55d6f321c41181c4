"""Storage in a folder of this machine: temporary file, fsync, then a rename or a hard link."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jobrunner.errors import NotFound, StorageError, full_disk
from jobrunner.storage.base import TEMPORARY, Entry, check_key, check_prefix

_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# Number of tries when another process keeps removing the folder of a new file.
TRIES = 100


class LocalStorage:
    """A folder as storage.

    Args:
        root: the folder; created when the first object is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root.expanduser()))

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.root)!r})"

    @property
    def url(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """The file behind a key."""
        return self.root / check_key(key)

    def read(self, key: str) -> bytes:
        path = self.path(key)
        with _mapped(key):
            return path.read_bytes()

    def open(self, key: str) -> BinaryIO:
        path = self.path(key)
        with _mapped(key):
            return path.open("rb")

    def write(self, key: str, data: bytes) -> None:
        self._put(key, lambda file: file.write(data), os.replace)

    def write_file(self, key: str, path: Path) -> None:
        try:
            source = path.open("rb")
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}.") from None
        with source:
            self._put(key, lambda file: shutil.copyfileobj(source, file, 1 << 20), os.replace)

    def create(self, key: str, data: bytes) -> bool:
        try:
            self._put(key, lambda file: file.write(data), _link)
        except _TakenError:
            return False
        return True

    def stat(self, key: str) -> Entry | None:
        path = self.path(key)
        with _mapped(key):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Entry(key=key, size=status.st_size, modified=status.st_mtime)

    def list(self, prefix: str) -> Iterator[Entry]:
        folder = self.root / check_prefix(prefix).rpartition("/")[0]
        entries: list[Entry] = []
        with _mapped(prefix):
            for place, folders, files in os.walk(folder):
                if TEMPORARY in folders:
                    folders.remove(TEMPORARY)
                for name in files:
                    key = (Path(place) / name).relative_to(self.root).as_posix()
                    # A file that no key can name is somebody's own, and no object.
                    ours = key.startswith(prefix) and _is_key(key)
                    entry = self.stat(key) if ours else None
                    if entry:
                        entries.append(entry)
        yield from sorted(entries, key=lambda entry: entry.key)

    def delete(self, key: str) -> None:
        path = self.path(key)
        with _mapped(key):
            with suppress(*_MISSING):
                path.unlink()
            for folder in path.parents:
                if folder == self.root or not _removed_empty(folder):
                    break

    def local_path(self, key: str) -> Path | None:
        return self.path(key.rstrip("/"))

    def clean_uploads(self, older_than: float) -> int:
        removed = 0
        with _mapped(TEMPORARY):
            for path in (self.root / TEMPORARY).glob("*"):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < time.time() - older_than:
                        path.unlink()
                        removed += 1
        return removed

    def _put(
        self,
        key: str,
        fill: Callable[[BinaryIO], object],
        place: Callable[[Path, Path], None],
    ) -> None:
        path = self.path(key)
        # Below the same root, hence on the same file system, so that a rename is atomic.
        temporary = self.root / TEMPORARY / uuid.uuid4().hex
        with _mapped(key, writing=True):
            try:
                temporary.parent.mkdir(parents=True, exist_ok=True)
                with temporary.open("xb") as file:
                    fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                _place(temporary, path, place)
                _sync_folders(path.parent, self.root)
            finally:
                temporary.unlink(missing_ok=True)


def _is_key(name: str) -> bool:
    try:
        check_key(name)
    except StorageError:
        return False
    return True


class _TakenError(Exception):
    """Another writer's object has the key."""


def _link(temporary: Path, path: Path) -> None:
    """Gives the file its name unless the name is taken; a rename would replace the other file."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        raise _TakenError from None


def _place(temporary: Path, path: Path, place: Callable[[Path, Path], None]) -> None:
    # A process that deletes the last object of a folder removes the folder too, perhaps between
    # our mkdir and rename. A folder that vanished is created again.
    for tries_left in reversed(range(TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            place(temporary, path)
            break
        except (FileNotFoundError, FileExistsError):
            # FileExistsError is mkdir's: the folder existed, and was gone when mkdir checked.
            if not tries_left:
                raise


def _sync_folders(folder: Path, root: Path) -> None:
    """Makes the new name, and any new folders above it, survive a loss of power."""
    while True:
        with suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        if folder == root:
            break
        folder = folder.parent


def _removed_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR}:
            raise
        return error.errno == errno.ENOENT
    return True


@contextmanager
def _mapped(key: str, *, writing: bool = False) -> Iterator[None]:
    """Turns the operating system's errors into storage errors."""
    try:
        yield
    except OSError as error:
        if full := full_disk(error, f"to write {key}"):
            raise full from None
        if isinstance(error, _MISSING) and not writing:
            raise NotFound(f"{key} is not in storage.") from None
        raise StorageError(f"{key}: {error.strerror or error}.") from error
