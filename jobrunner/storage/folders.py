"""Folders in storage that are complete or invisible: base models, exports.

A folder's files are stored first; `manifest.json`, with the size and SHA-256 of each, is stored
last.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path

from jobrunner.errors import NotFound, StorageError, disk_errors
from jobrunner.storage.base import Storage

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_published(storage: Storage, prefix: str) -> bool:
    """True if the folder is complete in storage."""
    return storage.stat(prefix + MANIFEST) is not None


def publish(storage: Storage, prefix: str, folder: Path, *, changing: Collection[str] = ()) -> None:
    """Stores all files of a folder, the manifest last.

    Args:
        storage: destination.
        prefix: prefix of the keys, with a slash at the end.
        folder: source folder on this machine.
        changing: names of files that may change later; the manifest leaves them out.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    entries = {}
    for path in files:
        name = path.relative_to(folder).as_posix()
        storage.write_file(prefix + name, path)
        if name in changing:
            continue
        entries[name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    storage.write(prefix + MANIFEST, json.dumps({"files": entries}, indent=1).encode())


def digest(storage: Storage, prefix: str) -> str:
    """SHA-256 (hex) of a published folder's manifest, which identifies all of its content.

    Raises:
        NotFound: there is no complete folder at `prefix`.
    """
    return hashlib.sha256(_manifest(storage, prefix)).hexdigest()


def fetch(storage: Storage, prefix: str, scratch: Path) -> Path:
    """Returns a published folder as a folder on this machine.

    Local storage returns its own folder. From other storage the files are downloaded to `scratch`
    once, and verified while they arrive.

    Raises:
        NotFound: there is no complete folder at `prefix`.
        StorageError: a file differs from the manifest.
        StorageFull: no room left on this machine.
    """
    manifest = _manifest(storage, prefix)
    if own := storage.local_path(prefix):
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
            for name, facts in json.loads(manifest)["files"].items():
                fetch_file(storage, prefix + name, folder / name, expected=facts["sha256"])
            (folder / MANIFEST).write_bytes(manifest)
    return folder


def fetch_file(storage: Storage, key: str, path: Path, *, expected: str = "") -> str:
    """Downloads an object and returns its SHA-256 (hex), computed while it arrives.

    Args:
        storage: source.
        key: key of the object.
        path: destination; its folder is created.
        expected: SHA-256 that the object must have; not checked if empty.

    Raises:
        NotFound: the object does not exist.
        StorageError: its SHA-256 differs from `expected`.
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
    if expected and seen.hexdigest() != expected:
        raise StorageError(f"{key} differs from its manifest.", hint="Delete it and prepare again.")
    return seen.hexdigest()


def _manifest(storage: Storage, prefix: str) -> bytes:
    try:
        return storage.read(prefix + MANIFEST)
    except NotFound:
        raise NotFound(f"{prefix} is not in storage, or not complete.") from None
