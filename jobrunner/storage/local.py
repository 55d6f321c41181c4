"""Storage in a folder of this machine: temporary file, fsync, then a rename or a hard link."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jobrunner.errors import NotFound, StorageError, StorageFull
from jobrunner.storage.base import Entry, check_key

# Files still being written; on the same file system as their final place, so a rename is atomic.
TEMPORARY = ".incomplete"


class LocalStorage:
    """A folder as storage.

    Args:
        root: the folder; made when the first object is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root.expanduser()))

    @property
    def url(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """The file behind a key."""
        return self.root / check_key(key)

    def read(self, key: str) -> bytes:
        with _mapped(key):
            return self.path(key).read_bytes()

    def open(self, key: str) -> BinaryIO:
        with _mapped(key):
            return self.path(key).open("rb")

    def write(self, key: str, data: bytes) -> None:
        self._put(key, lambda file: _write_all(file, data), os.replace)

    def write_file(self, key: str, path: Path) -> None:
        def copy(file: BinaryIO) -> None:
            with path.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)

        self._put(key, copy, os.replace)

    def create(self, key: str, data: bytes) -> bool:
        try:
            self._put(key, lambda file: _write_all(file, data), os.link)
        except FileExistsError:
            return False
        return True

    def stat(self, key: str) -> Entry | None:
        with _mapped(key):
            try:
                found = self.path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Entry(key=key, size=found.st_size, modified=found.st_mtime)

    def list(self, prefix: str) -> Iterator[Entry]:
        folder = self.root / prefix.rpartition("/")[0]
        found: list[Entry] = []
        with _mapped(prefix):
            for place, folders, files in os.walk(folder):
                if TEMPORARY in folders:
                    folders.remove(TEMPORARY)
                for name in files:
                    key = (Path(place) / name).relative_to(self.root).as_posix()
                    entry = self.stat(key) if key.startswith(prefix) else None
                    if entry:
                        found.append(entry)
        yield from sorted(found, key=lambda entry: entry.key)

    def delete(self, key: str) -> None:
        path = self.path(key)
        with _mapped(key):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.root or not folder.is_dir() or any(folder.iterdir()):
                    break
                _remove_empty(folder)

    def _put(
        self,
        key: str,
        fill: Callable[[BinaryIO], object],
        place: Callable[[str, Path], None],
    ) -> None:
        path = self.path(key)
        temporary = ""
        with _mapped(key, keep=FileExistsError):
            try:
                (self.root / TEMPORARY).mkdir(parents=True, exist_ok=True)
                handle, temporary = tempfile.mkstemp(dir=self.root / TEMPORARY)
                with os.fdopen(handle, "wb") as file:
                    fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                _place(temporary, path, place)
            finally:
                if temporary and os.path.exists(temporary):
                    os.unlink(temporary)


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _place(temporary: str, path: Path, place: Callable[[str, Path], None]) -> None:
    # Another process may remove the folder between mkdir and rename when it deletes its last
    # object there, so a vanished folder is made again.
    for last in (False, False, True):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            place(temporary, path)
            break
        except FileNotFoundError:
            if last:
                raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.ENOENT}:
            raise


@contextmanager
def _mapped(key: str, keep: type[OSError] | tuple[()] = ()) -> Iterator[None]:
    """Turns the operating system's errors into storage errors."""
    try:
        yield
    except keep:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotFound(f"{key} is not in storage.") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"No room left to write {key}.",
                hint="Free some space and submit the run again; it goes on where it was.",
            ) from None
        raise StorageError(f"{key}: {error.strerror or error}.") from error
