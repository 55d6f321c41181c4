"""Storage that breaks down, and attempts that save through it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jobrunner.core.checkpoint.store import Checkpoints, PartFile, Restored
from jobrunner.spec import keys
from jobrunner.storage import Entry
from jobrunner.storage.local import LocalStorage

RUN = "el-tiny-00000000"


class KilledError(BaseException):
    """The process ended here."""


class FragileStorage:
    """A storage that breaks down at one of its operations, before or after it took effect.

    Only those count whose key has `within` in it.
    """

    def __init__(
        self,
        inner: LocalStorage,
        *,
        at: int | None = None,
        after: bool = False,
        error: Callable[[], BaseException] = KilledError,
        within: str = "",
    ) -> None:
        self._inner, self._at, self._after, self._error = inner, at, after, error
        self._within = within
        self.operations = 0
        self.broke_at = ""

    def _do(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        if self._within not in str(arguments[0]):
            return operation(*arguments)
        self.operations += 1
        breaks = self.operations - 1 == self._at
        if breaks:
            self.broke_at = str(arguments[0])
        if breaks and not self._after:
            raise self._error()
        result = operation(*arguments)
        if breaks:
            if isinstance(result, io.IOBase):
                result.close()
            raise self._error()
        return result

    @property
    def url(self) -> str:
        return self._inner.url

    def read(self, key: str) -> bytes:
        found: bytes = self._do(self._inner.read, key)
        return found

    def open(self, key: str) -> BinaryIO:
        found: BinaryIO = self._do(self._inner.open, key)
        return found

    def write(self, key: str, data: bytes) -> None:
        self._do(self._inner.write, key, data)

    def write_file(self, key: str, path: Path) -> None:
        self._do(self._inner.write_file, key, path)

    def create(self, key: str, data: bytes) -> bool:
        return bool(self._do(self._inner.create, key, data))

    def stat(self, key: str) -> Entry | None:
        found: Entry | None = self._do(self._inner.stat, key)
        return found

    def list(self, prefix: str) -> Iterator[Entry]:
        yield from self._do(lambda prefix: list(self._inner.list(prefix)), prefix)

    def delete(self, key: str) -> None:
        self._do(self._inner.delete, key)

    def local_path(self, key: str) -> Path | None:
        return None

    def clean_uploads(self, older_than: float) -> int:
        return int(self._do(self._inner.clean_uploads, older_than))


class SavingAttempt:
    """One attempt that saves parts with known content."""

    def __init__(self, storage: Any, scratch: Path, name: str) -> None:
        self.log: list[str] = []
        self.checkpoints = Checkpoints(storage, RUN, name, scratch, self.log.append)
        self._scratch = scratch

    def save(self, step: int, best: int | None = None) -> None:
        parts = {}
        for name in ("model", "state"):
            path = self._scratch / name
            data = content(step, name)
            path.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            parts[name] = PartFile(path=path, size=len(data), sha256=digest)
        self.checkpoints.write(step, parts, {})
        self.checkpoints.retain(step, best)

    def restore(self) -> Restored | None:
        return self.checkpoints.restore()


def content(step: int, name: str) -> bytes:
    return f"{name} of step {step}".encode() * 50


def key(step: int, name: str) -> str:
    return keys.checkpoint_prefix(RUN, step) + name


def committed(storage: LocalStorage) -> list[int]:
    return Checkpoints(storage, RUN, "reader", Path(), print).committed()


def assert_verified(found: Restored | None, step: int) -> None:
    assert found is not None
    assert found.step == step
    for name in ("model", "state"):
        assert (found.folder / name).read_bytes() == content(step, name)
