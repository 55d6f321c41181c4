"""Numbers of results as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from jobrunner.scoring.alignment import Pair
from jobrunner.scoring.rates import Difference, Rate

# Shown where nothing was measured.
NOTHING = "–"


def percent(rate: Rate | None, *, interval: bool = True) -> str:
    """`13.4 [11.2, 15.9]`: a rate in % with its interval."""
    if rate is None:
        return NOTHING
    value = f"{100 * rate.value:.1f}"
    return f"{value} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]" if interval else value


def points(change: Difference | None) -> str:
    """`−87.1*`: a difference in percentage points, marked if it is significant."""
    if change is None:
        return NOTHING
    sign = "−" if change.value < 0 else "+"
    return f"{sign}{abs(100 * change.value):.1f}{'*' if change.significant else ''}"


def hours(seconds: float) -> str:
    """Seconds as hours, with one or two decimals: `0.05`, `12.8`."""
    return f"{seconds / 3600:.2f}" if seconds < 36_000 else f"{seconds / 3600:.1f}"


def faults(pairs: Sequence[Pair]) -> str:
    """`2 wrong, 1 left out, 1 added`: the errors of an alignment in words."""
    words = {"substitution": "wrong", "deletion": "left out", "insertion": "added"}
    counts = [(sum(pair.kind == kind for pair in pairs), word) for kind, word in words.items()]
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "no error"
