"""A folder that is reached as another machine's would be, and notes what was read of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from jobrunner.storage import Entry
from jobrunner.storage.local import LocalStorage


class Elsewhere:
    """A storage whose files cannot be read in place. Several processes may use it."""

    url = "elsewhere"

    def __init__(self, root: Path) -> None:
        self._inner = LocalStorage(root)
        self._notes = root.parent / "opened"

    def opened(self) -> Sequence[str]:
        """Keys that were opened, in order."""
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    def forget(self) -> None:
        """Forgets which keys were opened."""
        self._notes.unlink(missing_ok=True)

    def read(self, key: str) -> bytes:
        return self._inner.read(key)

    def open(self, key: str) -> BinaryIO:
        with self._notes.open("a") as file:
            file.write(f"{key}\n")
        return self._inner.open(key)

    def write(self, key: str, data: bytes) -> None:
        self._inner.write(key, data)

    def write_file(self, key: str, path: Path) -> None:
        self._inner.write_file(key, path)

    def create(self, key: str, data: bytes) -> bool:
        return self._inner.create(key, data)

    def stat(self, key: str) -> Entry | None:
        return self._inner.stat(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._inner.list(prefix)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def local_path(self, key: str) -> Path | None:
        return None

    def clean_uploads(self, older_than: float) -> int:
        return self._inner.clean_uploads(older_than)
