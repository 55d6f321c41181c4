"""Keeps what a stage says, and leaves it in storage when the stage ends."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from jobrunner.errors import StorageError
from jobrunner.storage import Storage


class _Tee(io.TextIOBase):
    """Passes all on to a stream, and keeps it in a file."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        # A full disk takes the copy, not the log that the node keeps.
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


@contextlib.contextmanager
def kept(file: Path) -> Iterator[None]:
    """Copies standard output and error to a file until the block ends."""
    out, err = sys.stdout, sys.stderr
    with file.open("w", encoding="utf-8", errors="backslashreplace") as copy:
        sys.stdout, sys.stderr = _Tee(out, copy), _Tee(err, copy)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = out, err


def store(storage: Storage, key: str, file: Path, log: Callable[[str], None]) -> None:
    """Leaves a log in storage; a stage does not fail for want of it."""
    try:
        storage.write_file(key, file)
    except (StorageError, OSError) as error:
        log(f"the log is not in storage: {error}")
