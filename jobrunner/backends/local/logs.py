"""Reads logs while they are written: no line is lost, repeated or cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jobrunner.backends.base import LogLine
from jobrunner.backends.local.folder import RunFolder
from jobrunner.errors import JobrunnerError

# Seconds between looks at files that may have grown.
INTERVAL = 0.2


class Tail:
    """The lines of one file that were not given yet.

    Args:
        path: the file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self, *, last: bool) -> Iterator[str]:
        """Complete lines; with `last` also an unfinished one at the end."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n") and not last:
                    break
                self._offset += len(raw)
                yield raw.decode(errors="replace").rstrip("\r\n")


def lines(
    folder: RunFolder, stage: str | None, *, follow: bool, ended: Callable[[], bool]
) -> Iterator[LogLine]:
    """Lines of all attempts of a run in the order of their start.

    Args:
        folder: the run.
        stage: only this stage.
        follow: continues until `ended`, then reads to the end.
        ended: returns True if nothing more will be written.
    """
    tails: dict[str, Tail] = {}
    while True:
        over = not follow or ended()
        try:
            attempts = folder.state().attempts
        except JobrunnerError:
            return
        for attempt in attempts:
            if stage not in {None, attempt.stage}:
                continue
            tail = tails.setdefault(attempt.id, Tail(folder.log(attempt.stage, attempt.id)))
            last = over or attempt.ended is not None
            for text in tail.lines(last=last):
                yield LogLine(stage=attempt.stage, attempt=attempt.id, text=text)
        if over:
            return
        time.sleep(INTERVAL)
