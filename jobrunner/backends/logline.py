"""Reads back why a stage failed from what it wrote to its log (`core/attempt/progress.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Characters of a reason: one line of a status.
LONGEST = 500
# As the core writes it; not `ValueError: …` of a traceback.
_ERROR = re.compile(r"[\d: ]*error: (?P<message>.*\S)")


def last_error(lines: Iterable[str]) -> str:
    """The message of the last `HH:MM:SS error: …`, else the last line that is not empty."""
    error = final = ""
    for line in lines:
        final = line.strip() or final
        if found := _ERROR.fullmatch(line.rstrip()):
            error = found["message"]
    return short(error or final)


def short(text: str) -> str:
    """A text in one line of at most `LONGEST` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
