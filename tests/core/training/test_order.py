"""The order of the data: complete, even, and a function of seed and epoch alone."""

from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.models.base import Unit
from jobrunner.core.models.windows import Measure
from jobrunner.core.training.order import Order, Step, share
from tests.harness.windows import LIMITS, Row, measures_of, packing_of, rows, tokens_of


def order_of(
    measures: list[Measure], *, batch: int = 3000, pack: float = 1.0, seed: int = 0
) -> Order:
    return Order(packing_of(measures, pack_probability=pack), batch_samples=batch, seed=seed)


@given(
    rows=rows,
    batch=st.integers(1, 8000),
    pack=st.sampled_from([0.0, 0.5, 1.0]),
    epoch=st.integers(0, 3),
)
def test_an_epoch_holds_each_clip_once_in_steps_of_even_audio(
    rows: list[Row], batch: int, pack: float, epoch: int
) -> None:
    measures = measures_of(rows)
    steps = order_of(measures, batch=batch, pack=pack).epoch(epoch)
    clips = [clip for step in steps for unit in step.units for clip in unit.clips]
    assert sorted(clips) == list(range(len(rows)))
    assert [step.epoch for step in steps] == [epoch] * len(steps)
    assert [step.index for step in steps] == list(range(len(steps)))
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    for step in steps:
        assert step.units
        sizes = [(unit.shape, unit.size) for unit in step.units]
        assert sizes == sorted(sizes, reverse=True)
        assert step.samples == sum(measures[c].samples for unit in step.units for c in unit.clips)
        assert step.weight == sum(tokens_of(measures, unit) for unit in step.units)
        # Audio is shared out evenly, give or take half a window at each end.
        assert step.samples <= batch + LIMITS.samples


@given(st.integers(0, 2**53), st.integers(0, 1000), st.integers(0, 1000))
def test_going_on_from_any_position_gives_the_steps_that_would_have_come(
    seed: int, epoch: int, skipped: int
) -> None:
    measures = measures_of([(300, 5, 0, "a")] * 40)
    skipped %= len(order_of(measures, seed=seed).epoch(epoch))
    whole = list(islice(order_of(measures, seed=seed).steps(epoch, 0), skipped + 7))
    assert list(islice(order_of(measures, seed=seed).steps(epoch, skipped), 7)) == whole[skipped:]


def test_epochs_and_seeds_differ_in_order() -> None:
    measures = measures_of([(300, 5, 0, "a")] * 40)
    orders = [
        tuple(step.units for step in order_of(measures, seed=seed).epoch(epoch))
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


def test_steps_of_an_epoch_hold_nearly_the_same_audio() -> None:
    random = np.random.default_rng(0)
    measures = measures_of([(int(n), 5, 0, "a") for n in random.integers(100, 600, 500)])
    lengths = [step.samples for step in order_of(measures, batch=10_000).epoch(0)]
    assert max(lengths) - min(lengths) <= 2 * LIMITS.samples
    assert 9_000 <= np.mean(lengths) <= 10_000


@given(units=st.integers(1, 40), ranks=st.integers(1, 8), at_once=st.integers(1, 10))
def test_ranks_share_a_step_between_them(units: int, ranks: int, at_once: int) -> None:
    step = Step(
        epoch=0,
        index=0,
        last=False,
        units=tuple(
            Unit(clips=(n,), samples=1, weight=1, size=1, shape=1000) for n in range(units)
        ),
        samples=1,
        weight=1,
    )
    packing = packing_of([], device_seconds=float(at_once))
    shares = [share(step, packing, rank=rank, ranks=ranks) for rank in range(ranks)]
    taken = [unit for own in shares for micro in own if micro.counts for unit in micro.units]
    assert sorted(taken, key=lambda unit: unit.clips) == list(step.units)
    for own in shares:
        assert [micro.last for micro in own] == [False] * (len(own) - 1) + [True]
        assert all(1 <= len(micro.units) <= at_once for micro in own)
        sizes = [len(micro.units) for micro in own]
        assert max(sizes) - min(sizes) <= 1
