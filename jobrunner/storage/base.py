"""The storage protocol: flat keys, whole objects, one conditional create.

Keys are relative, with `/` between parts. An object that `write` or `create` acknowledged is
durable and visible to every later call; a reader never sees half an object. No key may be a folder
of another: `a` and `a/b` cannot both exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from jobrunner.errors import StorageError

# Bytes of UTF-8. S3 allows 1,024 for prefix and key together, a file system 255 for each part.
LONGEST_KEY = 900
LONGEST_PART = 255
# The folder of a local storage in which files are written before they get their name.
TEMPORARY = ".incomplete"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One stored object."""

    key: str
    size: int
    """Bytes."""
    modified: float
    """Unix time."""


class Storage(Protocol):
    """A store of data, checkpoints and results.

    Every method raises `StorageError` (or `NotFound`, `StorageFull`) and nothing else. After a
    `StorageError` of `write` or `create`, the object may or may not be there.
    """

    @property
    def url(self) -> str:
        """`s3://BUCKET/PREFIX` or an absolute folder."""
        ...

    def read(self, key: str) -> bytes:
        """The whole object. Raises NotFound."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A stream over the object, to be closed by the caller. Raises NotFound."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Stores or replaces an object."""
        ...

    def write_file(self, key: str, path: Path) -> None:
        """Stores a file's content, however large."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Stores an object only if the key is free; False if another writer was first."""
        ...

    def stat(self, key: str) -> Entry | None:
        """Size and time of an object; None if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key starts with `prefix`, sorted by key; never half-written ones."""
        ...

    def delete(self, key: str) -> None:
        """Removes an object; no error if it is not there."""
        ...

    def local_path(self, key: str) -> Path | None:
        """This machine's file or folder for a key or prefix; None if a copy must be fetched."""
        ...

    def clean_uploads(self, older_than: float) -> int:
        """Removes unfinished uploads of dead writers, which are invisible but take room.

        Args:
            older_than: age in seconds; younger uploads may still be in progress.

        Returns:
            The number of uploads removed.
        """
        ...


def check_key(key: str) -> str:
    """Returns the key unchanged if it is valid.

    Raises:
        StorageError: the key is absolute, empty or too long, has a part such as `..`, or contains
            control characters or lone surrogates.
    """
    parts = key.split("/")
    if not key or any(part in {"", ".", "..", TEMPORARY} for part in parts):
        raise StorageError(f"{key[:100]!r} is not a storage key.")
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in key):
        raise StorageError(f"{key[:100]!r} is not a storage key: it has control characters.")
    if len(key.encode()) > LONGEST_KEY or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise StorageError(f"{key[:100]!r}... is too long for a storage key.")
    return key


def check_prefix(prefix: str) -> str:
    """Returns the prefix unchanged if a key can start with it; an empty one means all keys.

    Raises:
        StorageError: no key can start with it.
    """
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix


def probe(storage: Storage) -> None:
    """Checks that storage works: creates, reads, lists and deletes an object.

    Also checks that a second writer who creates the same key is refused.

    Raises:
        StorageError: it does not; the message says what failed.
    """
    key = f".probe/{uuid.uuid4().hex}"
    body = key.encode()
    try:
        if not storage.create(key, body) or storage.read(key) != body:
            raise StorageError(f"{storage.url} does not give back what was written to it.")
        if storage.create(key, body + b" again"):
            raise StorageError(
                f"{storage.url} overwrites an object that it was asked to create only if absent.",
                hint="Use a server that honours conditional writes (If-None-Match).",
            )
        if [entry.key for entry in storage.list(key)] != [key]:
            raise StorageError(f"{storage.url} does not list what was written to it.")
    finally:
        storage.delete(key)
