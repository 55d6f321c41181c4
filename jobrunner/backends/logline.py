"""Finds the reason of a stage's failure in its log, which `core/attempt/progress.py` writes."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Most characters of a reason, which is one line of a status.
LONGEST = 500
# The core's form of an error; it does not match `ValueError: …` of a traceback.
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
    """A text as one line of at most `LONGEST` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
