"""Packing loses no clip, keeps the limits of a window, and mixes no company."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.windows import LIMITS, Row, measures_of, packing_of, rows, tokens_of


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(rows=rows, pack=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 2**32))
def test_each_clip_is_in_one_window_within_the_limits_and_among_its_own(
    rows: list[Row], pack: float, seed: int
) -> None:
    measures = measures_of(rows)
    units = packing_of(measures, pack_probability=pack).pack(random(seed))
    assert sorted(clip for unit in units for clip in unit.clips) == list(range(len(rows)))
    for unit in units:
        assert unit.samples == sum(measures[clip].samples for clip in unit.clips)
        assert unit.samples <= LIMITS.samples
        assert unit.weight == unit.size == tokens_of(measures, unit)
        assert unit.size <= LIMITS.tokens
        companies = {measures[clip].company for clip in unit.clips}
        assert len(unit.clips) == 1 or (len(companies) == 1 and None not in companies and pack > 0)


@given(rows=rows, seed=st.integers(0, 2**32))
def test_a_packing_is_a_function_of_the_generator_alone(rows: list[Row], seed: int) -> None:
    first, second = (packing_of(measures_of(rows)).pack(random(seed)) for _ in range(2))
    assert first == second


def test_packing_fills_windows_with_one_company() -> None:
    measures = measures_of([(150, 5, 0, "a")] * 30 + [(150, 5, 0, "b")] * 30)
    units = packing_of(measures).pack(random())
    assert sorted(len(unit.clips) for unit in units) == [6] * 10


def test_languages_and_tasks_of_one_speaker_are_companies_of_their_own() -> None:
    companies = [
        (code, task, "anna") for code in ("el", "en") for task in ("transcribe", "translate")
    ]
    measures = measures_of([(100, 2, 0, company) for company in companies for _ in range(20)])
    for unit in packing_of(measures).pack(random()):
        assert len({measures[clip].company for clip in unit.clips}) == 1


@given(units=st.integers(1, 100), at_once=st.integers(1, 12))
def test_micro_batches_keep_the_order_and_fit_the_device(units: int, at_once: int) -> None:
    packing = packing_of(measures_of([(600, 5, 0, None)] * units), device_seconds=float(at_once))
    made = packing.pack(random())
    parts = packing.split(made)
    assert [unit for part in parts for unit in part] == made
    assert all(1 <= len(part) <= at_once for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_window_costs_as_much_as_a_full_one() -> None:
    packing = packing_of(measures_of([(1, 1, 0, None)] * 3))
    assert packing.cost(packing.pack(random())) == 3.0


@pytest.mark.parametrize("seconds", [0.1, 1.9])
def test_a_device_takes_one_window_at_least(seconds: float) -> None:
    packing = packing_of(measures_of([(500, 5, 0, None)] * 4), device_seconds=seconds)
    assert [len(part) for part in packing.split(packing.pack(random()))] == [1] * 4
