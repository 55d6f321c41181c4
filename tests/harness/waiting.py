"""Waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    what: str | Callable[[], str] = "",
    seconds: float = 30.0,
    every: float = 0.02,
) -> T:
    """The condition's value as soon as it is true, checked at intervals.

    Args:
        condition: asked until it is true.
        what: it waits for, or what names it when the time is over.
        seconds: until then.
        every: seconds between two looks.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            named = what if isinstance(what, str) else what()
            raise AssertionError(f"not in {seconds} s: {named or condition}")
        time.sleep(every)
    return value
