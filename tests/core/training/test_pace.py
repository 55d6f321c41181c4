"""Waiting is counted where it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from jobrunner.core.training.pace import Pace


class Clock:
    """A clock that only moves when it is moved."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        patch.setattr(time, "perf_counter", lambda: self.now)


def test_waiting_counts_for_each_micro_batch_and_work_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(lambda line: None)

    def batches() -> Iterator[int]:
        for number in range(4):
            clock.now += 3.0
            yield number

    seen = []
    for batch in pace.fed(batches()):
        clock.now += 7.0
        seen.append(batch)
    assert seen == [0, 1, 2, 3]
    assert pace.waited_seconds == 12.0
    assert pace.waiting_share == pytest.approx(12 / 40)
    with pace.pausing():
        clock.now += 100.0
    assert pace.waiting_share == pytest.approx(12 / 40)
    assert "waiting for data 30.0%" in pace.summary(0.0)


def test_an_error_while_waiting_is_passed_on() -> None:
    def batches() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    pace = Pace(lambda line: None)
    with pytest.raises(OSError, match="gone"):
        list(pace.fed(batches()))
