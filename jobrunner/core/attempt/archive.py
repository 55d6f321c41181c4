"""Keeps the log of an attempt and stores it with the exit code."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from jobrunner.core.attempt.context import StageContext
from jobrunner.errors import Interrupted, StorageError
from jobrunner.spec import keys


class _Tee(io.TextIOBase):
    """Writes to a stream and keeps a copy in a file."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        # A full disk loses the copy, not the log that the node keeps.
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


def store(context: StageContext, stage: str, file: Path, code: int) -> None:
    """Stores the log of an attempt and its exit code; an error here does not fail the stage."""
    about = (context.run, stage, context.attempt)
    try:
        context.storage.write_file(keys.log_file(*about), file)
        context.storage.write(keys.end_file(*about), json.dumps({"exit_code": code}).encode())
    except (StorageError, OSError) as error:
        context.log(f"the log is not in storage: {error}")


def cause_of_last_end(context: StageContext, stage: str) -> str:
    """The reason why the last attempt at a stage ended.

    Returns:
        `stopped` after SIGTERM, `failed` after an error, `killed` if it left no exit code.
    """
    run, storage = context.run, context.storage
    try:
        entries = list(storage.list(keys.logs_prefix(run, stage)))
        ends = [entry for entry in entries if entry.key.endswith(keys.END)]
        commits = storage.list(keys.checkpoints_prefix(run))
        saved = max((e.modified for e in commits if e.key.endswith(f"/{keys.COMMIT}")), default=0.0)
        newest = max(ends, key=lambda entry: entry.modified, default=None)
        if newest is None or newest.modified < saved:
            return "killed"
        code = json.loads(storage.read(newest.key))["exit_code"]
    except (StorageError, ValueError, KeyError, TypeError):
        return "killed"
    if code is None:
        return "killed"
    return "stopped" if code == Interrupted.exit_code else "failed"
