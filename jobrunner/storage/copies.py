"""Copies of published folders for people: in a folder of their choice, verified, resumable."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner.errors import NotFound, UsageError, disk_errors
from jobrunner.storage import folders
from jobrunner.storage.base import Storage

_PART = ".part"


@dataclass(frozen=True, kw_only=True)
class Copied:
    """Numbers of files of a copy."""

    fetched: int
    kept: int
    """Files that were there already, with the size and SHA-256 of the manifest."""


def copy_out(
    storage: Storage,
    prefix: str,
    folder: Path,
    *,
    changing: Collection[str] = (),
    before_file: Callable[[str, int], None] = lambda name, size: None,
) -> Copied:
    """Copies a published folder, or what is missing of it, to a folder of this machine.

    Each file appears whole and verified, the manifest after all files that it names. So a copy
    that was interrupted continues, and one that is there is only verified.

    Args:
        storage: source.
        prefix: prefix of the keys, with a slash at the end.
        folder: destination; created if it is missing.
        changing: names of files that the manifest leaves out; copied if they exist.
        before_file: gets name and size in bytes of each file that is fetched.

    Raises:
        NotFound: there is no complete folder at `prefix`.
        UsageError: the destination has another model, or other files of these names.
        Lost: a file is missing or differs from the manifest; storage then counts it as missing.
        StorageFull: no room left on this machine.
    """
    manifest = storage.read(prefix + folders.MANIFEST)
    files: dict[str, Any] = json.loads(manifest)["files"]
    with disk_errors(f"in {folder}"), _locked(folder):
        marker = folder / folders.MANIFEST
        begun = marker.read_bytes() if marker.exists() else None
        if begun not in {None, manifest}:
            raise UsageError(f"{folder} has another model.", hint="Name another folder.")
        missing = [name for name, facts in files.items() if not _is_there(folder / name, facts)]
        if begun is None:
            _refuse_others(storage, prefix, folder, missing, changing)
        for name in missing:
            before_file(name, files[name]["size"])
            _bring(storage, prefix + name, folder / name, files[name]["sha256"])
        _replace(marker, lambda part: part.write_bytes(manifest))
        for name in changing:
            with suppress(NotFound):
                _bring(storage, prefix + name, folder / name)
    return Copied(fetched=len(missing), kept=len(files) - len(missing))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder, so that two copies at once do not write one file."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_there(path: Path, facts: dict[str, Any]) -> bool:
    try:
        same = path.stat().st_size == facts["size"] and folders.sha256(path) == facts["sha256"]
        return bool(same)
    except FileNotFoundError:
        return False


def _refuse_others(
    storage: Storage, prefix: str, folder: Path, missing: Collection[str], changing: Collection[str]
) -> None:
    """Refuses to replace files that no copy of this folder has written."""
    others = [name for name in missing if os.path.lexists(folder / name)]
    for name in changing:
        path = folder / name
        with suppress(NotFound):
            if path.exists() and path.read_bytes() != storage.read(prefix + name):
                others.append(name)
    if others:
        raise UsageError(
            f"{folder} has other files of these names: {', '.join(others)}.",
            hint="Name another folder.",
        )


def _bring(storage: Storage, key: str, path: Path, expected: str = "") -> None:
    def fetch(part: Path) -> None:
        if expected:
            folders.fetch_verified(storage, key, part, expected)
        else:
            folders.fetch_file(storage, key, part)

    _replace(path, fetch)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside its place, and gives it its name when it is whole and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{_PART}")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
