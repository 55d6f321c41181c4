"""The storage protocol: flat keys, whole objects, one conditional create.

Keys are relative, with `/` between parts. What `write` and `create` acknowledge is durable and
seen by every later call; a reader never sees half an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from jobrunner.errors import StorageError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One stored object."""

    key: str
    size: int
    """Bytes."""
    modified: float
    """Unix time."""


class Storage(Protocol):
    """Where data, checkpoints and results live.

    Every method raises `StorageError` (or `NotFound`, `StorageFull`) and nothing else.
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
        """Stores an object only if the key is free; False when somebody else was first."""
        ...

    def stat(self, key: str) -> Entry | None:
        """Size and time of an object; None where there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects below a prefix, sorted by key. Half-written ones are never listed."""
        ...

    def delete(self, key: str) -> None:
        """Removes an object; no error when it is not there."""
        ...


def check_key(key: str) -> str:
    """The key as given.

    Raises:
        StorageError: the key is absolute, empty, or climbs out.
    """
    parts = key.split("/")
    if not key or key.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise StorageError(f"{key!r} is no storage key.")
    return key


def open_storage(url: str, *, endpoint: str = "") -> Storage:
    """The storage behind a URL: a folder, or `s3://BUCKET/PREFIX`.

    Raises:
        StorageError: the URL's kind is not known.
    """
    if url.startswith("s3://"):
        raise StorageError(
            f"{url} cannot be reached by this version.",
            hint="Use a folder with --storage.",
        )
    from jobrunner.storage.local import LocalStorage

    return LocalStorage(Path(url.removeprefix("file://")))
