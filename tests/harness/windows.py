"""Clips of invented lengths, to be packed into windows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from hypothesis import strategies as st

from jobrunner.core.models.base import Unit
from jobrunner.core.models.windows import Limits, Measure, WindowPacking

LIMITS = Limits(samples=1000, tokens=60, overhead_tokens=4)
# Samples, tokens of the text, more of them where it follows another, company.
Row = tuple[int, int, int, Hashable]

rows = st.lists(
    st.tuples(
        st.integers(1, 1000), st.integers(1, 56), st.integers(0, 1), st.sampled_from([None, 1, 2])
    ),
    min_size=1,
    max_size=60,
)


def measures_of(rows: Sequence[Row]) -> list[Measure]:
    return [
        Measure(samples=samples, first_tokens=tokens, next_tokens=tokens + more, company=company)
        for samples, tokens, more, company in rows
    ]


def packing_of(measures: Sequence[Measure], **changes: Any) -> WindowPacking:
    """Windows of a second, ten of which a device takes at a time."""
    seconds = changes.pop("device_seconds", 10.0)
    options: dict[str, Any] = {"rate": 1000, "pack_probability": 1.0, **changes}
    return WindowPacking(
        *(measures, LIMITS),
        fits=lambda windows, samples, _: windows == 1 or windows * samples <= seconds * 1000,
        **options,
    )


def tokens_of(measures: Sequence[Measure], unit: Unit) -> int:
    """Label tokens of a window, counted anew."""
    first, *following = (measures[clip] for clip in unit.clips)
    counted = first.first_tokens + sum(each.next_tokens for each in following)
    return LIMITS.overhead_tokens + counted
