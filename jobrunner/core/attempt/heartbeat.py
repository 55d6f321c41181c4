"""A sign of life that each rank gives, so that one that hangs ends the attempt.

    JOBRUNNER_HEARTBEAT   file of a rank: until when it will have given its next sign

A rank that hangs would let the others wait in a collective operation. The process that started the
ranks reads the files (see ranks.py). Times are of the machine's monotonic clock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

# Seconds that a step may take. The first one may compile.
STEP_SECONDS = 1800.0
# Seconds that a validation, or work with storage, may take: restore, save, export.
LONGEST_SECONDS = 7200.0


def beat(within: float) -> None:
    """Promises the next sign within some seconds; nothing if no other process waits for it."""
    name = os.environ.get("JOBRUNNER_HEARTBEAT")
    if not name:
        return
    temporary = Path(f"{name}.new")
    temporary.write_text(repr(time.monotonic() + within))
    temporary.replace(name)


def promised(file: Path) -> float:
    """The time until which a rank promised its next sign; infinite before its first one."""
    try:
        return float(file.read_text())
    except FileNotFoundError:
        return float("inf")
