"""Folders in storage that are complete or invisible: base models, exports, prepared splits.

A folder's files are stored first; `manifest.json`, with the size and SHA-256 of each, is stored
last. A reader verifies each file and deletes one that differs. So damage shows as a missing file,
and one listing (`missing`) finds all that must be stored again. Checkpoints have manifests of the
same form.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner.errors import Lost, NotFound, StorageError, disk_errors
from jobrunner.storage.base import Entry, Storage

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(storage: Storage, prefix: str) -> bool:
    """True if the folder is complete in storage and `missing` finds nothing."""
    try:
        return not missing(storage, prefix)
    except NotFound:
        return False


def missing(storage: Storage, prefix: str) -> list[str]:
    """Finds what a complete folder lacks, with one listing and without reading the files.

    Returns:
        Keys of files that are not in storage, or not with the size of the manifest; the key of the
        manifest if that cannot be read.

    Raises:
        NotFound: there is no complete folder at `prefix`.
    """
    return look(storage, prefix).missing


@dataclass(frozen=True, kw_only=True)
class Look:
    """A published folder as its manifest and one listing show it."""

    prefix: str
    manifest: bytes
    files: Mapping[str, tuple[int, str]] | None
    """Size and SHA-256 of each file by its key; None if the manifest is damaged."""
    held: Mapping[str, Entry]
    """Its objects in storage, by key."""

    @property
    def missing(self) -> list[str]:
        """Keys of files that are not there, or not of their size; see the function `missing`."""
        if self.files is None:
            return [self.prefix + MANIFEST]
        sizes = {key: entry.size for key, entry in self.held.items()}
        return [key for key, (size, _) in self.files.items() if sizes.get(key) != size]


def look(storage: Storage, prefix: str) -> Look:
    """Reads the manifest of a published folder and lists its objects.

    Raises:
        Lost: there is no complete folder at `prefix`.
        StorageError: storage refused.
    """
    manifest = _manifest(storage, prefix)
    files = files_of(manifest)
    return Look(
        prefix=prefix,
        manifest=manifest,
        files=None if files is None else {prefix + name: files[name] for name in files},
        held={entry.key: entry for entry in storage.list(prefix)} if files is not None else {},
    )


def discard(storage: Storage, key: str, problem: str) -> Lost:
    """Deletes a damaged object, so that it counts as missing, and returns the error to raise.

    Args:
        storage: its storage.
        key: its key.
        problem: what is wrong with it, to follow the key in the message.
    """
    try:
        storage.delete(key)
    except StorageError as error:
        hint = f"Delete it from storage ({error.message.rstrip('.')}), then submit the run again."
        return Lost(f"{key} {problem}.", hint=hint)
    return Lost(f"{key} {problem}.")


def publish(storage: Storage, prefix: str, folder: Path, *, changing: Collection[str] = ()) -> None:
    """Stores all files of a folder, the manifest last.

    Args:
        storage: destination.
        prefix: prefix of the keys, with a slash at the end.
        folder: source folder on this machine.
        changing: names of files that may change later; the manifest leaves them out.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    named = {path.relative_to(folder).as_posix(): path for path in files}
    entries = {name: entry(path) for name, path in named.items() if name not in changing}
    manifest = json.dumps({"files": entries}, indent=1).encode()
    with suppress(NotFound):
        # Otherwise a reader would take the new files for damaged old ones.
        if storage.read(prefix + MANIFEST) != manifest:
            storage.delete(prefix + MANIFEST)
    for name, path in named.items():
        storage.write_file(prefix + name, path)
    storage.write(prefix + MANIFEST, manifest)


def entry(path: Path) -> dict[str, Any]:
    """A file's entry in the manifest of its folder."""
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def digest(storage: Storage, prefix: str) -> str:
    """SHA-256 (hex) of a published folder's manifest, which identifies all of its content.

    Raises:
        Lost: there is no complete folder at `prefix`.
    """
    return hashlib.sha256(_manifest(storage, prefix)).hexdigest()


def fetch(storage: Storage, prefix: str, scratch: Path) -> Path:
    """Returns a published folder as a folder on this machine.

    Local storage returns its own folder, verified. From other storage the files are downloaded to
    `scratch` once, and verified while they arrive.

    Raises:
        Lost: there is no complete folder at `prefix`, or a file is missing or damaged.
        StorageFull: no room left on this machine.
    """
    manifest = _manifest(storage, prefix)
    files = files_of(manifest)
    if files is None:
        raise discard(storage, prefix + MANIFEST, "is damaged")
    if own := storage.local_path(prefix):
        for name, (_, digest) in files.items():
            _verify(storage, prefix + name, own / name, digest)
        return own
    folder = scratch / prefix.strip("/").replace("/", "_")
    with disk_errors(f"in {scratch}"):
        scratch.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            # Several stages on one machine may fetch the same folder at the same time.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / MANIFEST).exists() and (folder / MANIFEST).read_bytes() == manifest:
                return folder
            shutil.rmtree(folder, ignore_errors=True)
            for name, (_, digest) in files.items():
                fetch_verified(storage, prefix + name, folder / name, digest)
            (folder / MANIFEST).write_bytes(manifest)
    return folder


def fetch_verified(storage: Storage, key: str, path: Path, expected: str) -> None:
    """Downloads an object that has this SHA-256 (hex); one that has not is deleted from storage.

    Raises:
        Lost: the object does not exist, or it is damaged.
        StorageFull: no room left on this machine.
    """
    # A body that was damaged in transit is read once more before the object counts as damaged.
    for _ in range(2):
        try:
            if fetch_file(storage, key, path) == expected:
                return
        except NotFound:
            raise not_stored(key) from None
    raise discard(storage, key, "differs from its manifest")


def fetch_file(storage: Storage, key: str, path: Path) -> str:
    """Downloads an object and returns its SHA-256 (hex), computed while it arrives.

    Args:
        storage: source.
        key: key of the object.
        path: destination; its folder is created.

    Raises:
        NotFound: the object does not exist.
        StorageFull: no room left on this machine.
    """
    seen = hashlib.sha256()
    where = f"on this machine's disk to write {path.name}"
    with storage.open(key) as source, disk_errors(where, name=path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            while chunk := source.read(_CHUNK):
                seen.update(chunk)
                target.write(chunk)
    return seen.hexdigest()


def not_stored(key: str) -> Lost:
    """The error for an object that should be there."""
    return Lost(f"{key} is not in storage.")


def _verify(storage: Storage, key: str, path: Path, digest: str) -> None:
    with disk_errors(f"in {path.parent}", name=path.name):
        if not path.is_file():
            raise not_stored(key)
        if sha256(path) != digest:
            raise discard(storage, key, "differs from its manifest")


def _manifest(storage: Storage, prefix: str) -> bytes:
    try:
        return storage.read(prefix + MANIFEST)
    except NotFound:
        raise Lost(f"{prefix} is not in storage, or not complete.") from None


def files_of(manifest: bytes) -> dict[str, tuple[int, str]] | None:
    """Size and SHA-256 of each file; None if the manifest is damaged."""
    try:
        files = json.loads(manifest).get("files", {})
        return {name: (int(facts["size"]), str(facts["sha256"])) for name, facts in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
