"""Progress of a stage: to a file for the local backend, and to the log for people."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobrunner.states import Progress

# Least seconds between writes of a progress file; the last report of a stage is always written.
SECONDS_BETWEEN_WRITES = 0.5


def log(line: str) -> None:
    """Writes one line to the stage's log."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


class ProgressReporter:
    """Keeps the stage's progress and writes it to a file for the backend.

    Args:
        file: the local backend's progress file; None if it is not wanted.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.now = Progress()
        self.watchers: list[Callable[[Progress], None]] = []
        """Called with each change, in the thread of the stage."""
        self.listeners: list[Callable[[str, float, str], None]] = []
        """Called with each `event`, in the thread that calls it."""
        self._file = file
        self._written = 0.0
        self._started = time.monotonic()
        self._started_at = 0.0

    def update(self, *, urgent: bool = False, **changes: Any) -> None:
        """Changes fields of `Progress`; `seconds_left` follows from `done` unless given."""
        if "done" in changes and "seconds_left" not in changes:
            changes["seconds_left"] = self._seconds_left(changes["done"])
        self.now = self.now.model_copy(update={**changes, "updated": time.time()})
        for watcher in self.watchers:
            watcher(self.now)
        if urgent or time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self.flush()

    def event(self, what: str, amount: float = 1.0, about: str = "") -> None:
        """Counts an event for the metrics, such as a checkpoint or a skipped step.

        Args:
            what: `checkpoint`, `resume`, `skip` (a step), `out_of_memory` or `drop` (clips).
            amount: seconds of a checkpoint, else the number of events.
            about: reason of a drop.
        """
        for listener in self.listeners:
            listener(what, amount, about)

    def restart_clock(self, done: float) -> None:
        """Restarts the estimate of the time left: the work begins now, at the ratio `done`."""
        self._started, self._started_at = time.monotonic(), done

    def flush(self) -> None:
        """Writes the progress as it is now."""
        self._written = time.monotonic()
        if self._file is None:
            return
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_text(self.now.model_dump_json())
        temporary.replace(self._file)

    def _seconds_left(self, done: float) -> float | None:
        gained = done - self._started_at
        if gained <= 0:
            return None
        return (time.monotonic() - self._started) / gained * max(0.0, 1.0 - done)
