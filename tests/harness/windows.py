"""Clips of invented lengths, to be packed into windows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from hypothesis import strategies as st

from jobrunner.core.models.base import Unit
from jobrunner.core.models.windows import Limits, Measure, WindowPacking, fits_seconds

LIMITS = Limits(samples=1000, tokens=60, overhead_tokens=4, timed_overhead_tokens=3, grain=10)
# Samples, tokens of the text, more of them where it follows another, company and, perhaps, speaker.
Row = tuple[int, int, int, Hashable] | tuple[int, int, int, Hashable, str]
# Samples of silence between two clips of a window.
SILENCE = 100

rows = st.lists(
    st.tuples(
        st.integers(1, 1000),
        st.integers(1, 56),
        st.integers(0, 1),
        st.sampled_from([None, 1, 2]),
        st.sampled_from(["", "anna", "nikos"]),
    ),
    min_size=1,
    max_size=60,
)


def measures_of(rows: Sequence[Row]) -> list[Measure]:
    return [
        Measure(
            samples=samples,
            first_tokens=tokens,
            next_tokens=tokens + more,
            company=company,
            speaker="".join(speaker),
        )
        for samples, tokens, more, company, *speaker in rows
    ]


def packing_of(
    measures: Sequence[Measure], *, device_seconds: float = 10.0, **changes: Any
) -> WindowPacking:
    """Windows of a second, ten of which a device takes at a time."""
    options = {"rate": 1000, "pack_probability": 1.0, **changes}
    return WindowPacking(measures, LIMITS, fits=fits_seconds(device_seconds, 1000), **options)


def tokens_of(measures: Sequence[Measure], unit: Unit) -> int:
    """Label tokens of a window, counted anew."""
    if unit.timed:
        texts = sum(measures[clip].next_tokens for clip in unit.clips)
        return LIMITS.timed_overhead_tokens + texts + 2 * len(unit.clips)
    first, *following = (measures[clip] for clip in unit.clips)
    counted = first.first_tokens + sum(each.next_tokens for each in following)
    return LIMITS.overhead_tokens + counted
