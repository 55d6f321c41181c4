"""One thing that `jobrunner doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Literal["ok", "note", "mend"]
    """`mend` stands in the way of a run; `note` is something to know."""
    found: str
    advice: str = ""
