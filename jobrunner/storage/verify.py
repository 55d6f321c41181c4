"""Whether objects in storage are as a manifest says: there, of their size, of their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from jobrunner.errors import NotFound
from jobrunner.storage import folders
from jobrunner.storage.base import Entry, Storage

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An object as a manifest names it."""

    key: str
    size: int | None = None
    """Bytes; None if unknown."""
    sha256: str = ""
    """SHA-256 (hex), or the start of it; empty if unknown."""


def named(prefix: str, manifest: bytes) -> list[Expected] | None:
    """The files of a folder, by its manifest; None if that is damaged."""
    files = folders.files_of(manifest)
    if files is None:
        return None
    return [
        Expected(key=prefix + name, size=size, sha256=digest)
        for name, (size, digest) in files.items()
    ]


def problem(
    storage: Storage,
    expected: Expected,
    entry: Entry | None,
    *,
    deep: bool = False,
    on_read: Callable[[int], None] = lambda size: None,
) -> str:
    """The problem of an object, to follow its key in a sentence; empty if there is none.

    Args:
        storage: its storage.
        expected: how it should be.
        entry: how it was listed; None if it was not.
        deep: True to read it and compare its SHA-256.
        on_read: called with the bytes of each piece that was read.

    Raises:
        StorageError: storage refused.
    """
    if entry is None:
        return "is missing"
    if expected.size is not None and entry.size != expected.size:
        return f"has {entry.size:,} bytes instead of {expected.size:,}"
    if not deep or not expected.sha256:
        return ""
    seen = hashlib.sha256()
    try:
        with storage.open(expected.key) as source:
            while chunk := source.read(_CHUNK):
                seen.update(chunk)
                on_read(len(chunk))
    except NotFound:
        return "is missing"
    return "" if seen.hexdigest().startswith(expected.sha256) else "differs from its SHA-256"


def problems(storage: Storage, prefix: str, *, deep: bool = False) -> list[str]:
    """Problems of a published folder, a line for each object.

    Args:
        storage: its storage.
        prefix: prefix of its keys, with a slash at the end.
        deep: True to read every file and compare its SHA-256.

    Raises:
        StorageError: storage refused.
    """
    key = prefix + folders.MANIFEST
    try:
        seen = folders.look(storage, prefix)
    except NotFound:
        return [f"{key} is missing"]
    expected = named(prefix, seen.manifest)
    if expected is None:
        return [f"{key} cannot be read"]
    found = [(e.key, problem(storage, e, seen.held.get(e.key), deep=deep)) for e in expected]
    return [f"{key} {wrong}" for key, wrong in found if wrong]
