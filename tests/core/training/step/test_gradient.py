"""The gradient of a step is that of the mean loss, whenever its weight becomes known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.core.models.base import Batch, Recogniser, Unit, groups_by_decay
from jobrunner.core.training.order import MicroBatch, Step
from jobrunner.core.training.setup import Setup
from jobrunner.core.training.step import gradient
from jobrunner.core.training.step.memory import Memory
from jobrunner.spec.memory import Room
from tests import builders

UNIT = Unit(clips=(0,), samples=1, weight=1, size=1)


@dataclass(frozen=True)
class Points:
    """Points of a line, some of which count: what a collation has masked does not."""

    inputs: torch.Tensor
    wanted: torch.Tensor
    counts: torch.Tensor

    @property
    def weight(self) -> float:
        return float(self.counts.sum())

    @property
    def nbytes(self) -> int:
        return self.inputs.nbytes

    def __len__(self) -> int:
        return len(self.inputs)

    def part(self, start: int, end: int) -> Points:
        cut = slice(start, end)
        return Points(self.inputs[cut], self.wanted[cut], self.counts[cut])

    def pin_memory(self) -> Points:
        return self

    def to(self, device: torch.device) -> Points:
        return self


class Line:
    """A model with a loss; of a recogniser as much as a gradient needs."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Linear(3, 1)

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        points = cast("Points", batch)
        errors = (forward or self.module)(points.inputs)[:, 0] - points.wanted
        loss: torch.Tensor = (errors**2 * points.counts).sum()
        return loss


@pytest.fixture
def setup() -> Setup:
    return make_setup()


def make_setup() -> Setup:
    line = Line()
    return Setup(
        accelerator=Accelerator(cpu=True),
        model=cast("Recogniser", line),
        module=line.module,
        groups=groups_by_decay(line.module),
        optimiser=torch.optim.SGD(line.module.parameters()),
        dataset=cast("Any", None),
        feed=cast("Any", None),
        memory=Memory(builders.spec(), Room(), print, print),
        dropped={},
    )


def points_of(number: int, masked: int, seed: int = 0) -> Points:
    random = torch.Generator().manual_seed(seed)
    counts = torch.ones(number)
    counts[:masked] = 0
    inputs, wanted = torch.randn(number, 3, generator=random), torch.randn(number, generator=random)
    return Points(inputs, wanted, counts)


def step_of(weight: float) -> Step:
    return Step(epoch=0, index=0, last=False, units=(UNIT,), samples=1, weight=weight)


def micro_batches(
    batches: Sequence[Points], counts: bool = True
) -> Iterator[tuple[MicroBatch, Batch]]:
    for batch in batches:
        yield MicroBatch(units=(UNIT,), counts=counts, last=batch is batches[-1]), batch


def gradients(setup: Setup) -> list[torch.Tensor]:
    return [p.grad.clone() for p in setup.trained.values() if p.grad is not None]


def of_plain_torch(batches: Sequence[Points]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The mean loss of all points that count, and its gradient, without any of our code."""
    line = Line()
    inputs, wanted, counts = (
        torch.cat([getattr(batch, name) for batch in batches])
        for name in ("inputs", "wanted", "counts")
    )
    errors = (line.module(inputs)[:, 0] - wanted)[counts.bool()]
    mean = (errors**2).mean()
    return mean.detach(), list(torch.autograd.grad(mean, list(line.module.parameters())))


shares = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=4)


@settings(deadline=None)  # the first one imports what is slow
@given(shares=shares, expected=st.floats(0.5, 40.0))
def test_a_weight_that_collation_decides_gives_the_gradient_of_the_mean(
    shares: list[tuple[int, int]], expected: float
) -> None:
    setup, step = make_setup(), step_of(expected)
    batches = [points_of(more + masked, masked, seed) for seed, (more, masked) in enumerate(shares)]
    total, weight = gradient.accumulate(setup, step, micro_batches(batches))
    assert weight == sum(more for more, _ in shares)
    loss, norm = gradient.of_mean(setup, step, total, weight, max_norm=math.inf)
    mean, wanted = of_plain_torch(batches)
    assert float(loss) == pytest.approx(float(mean), rel=1e-4)
    for ours, theirs in zip(gradients(setup), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    flat = torch.cat([each.flatten() for each in wanted])
    assert float(norm) == pytest.approx(float(flat.norm()), rel=1e-4)


def test_where_the_expected_weight_is_the_weight_no_bit_changes(setup: Setup) -> None:
    batches = [points_of(5, 2), points_of(4, 0, seed=1)]
    step = step_of(7.0)
    total, weight = gradient.accumulate(setup, step, micro_batches(batches))
    assert weight == step.weight
    before = gradients(setup)
    gradient.of_mean(setup, step, total, weight, max_norm=math.inf)
    for ours, theirs in zip(gradients(setup), before, strict=True):
        assert torch.equal(ours, theirs)


def test_the_gradient_of_the_mean_is_what_is_clipped(setup: Setup) -> None:
    batches, step = [points_of(6, 3)], step_of(100.0)
    total, weight = gradient.accumulate(setup, step, micro_batches(batches))
    _, wanted = of_plain_torch(batches)
    norm = torch.cat([each.flatten() for each in wanted]).norm()
    _, before = gradient.of_mean(setup, step, total, weight, max_norm=float(norm) / 2)
    assert float(before) == pytest.approx(float(norm), rel=1e-5)
    for ours, theirs in zip(gradients(setup), wanted, strict=True):
        torch.testing.assert_close(ours, theirs / 2, rtol=1e-4, atol=1e-6)


def test_a_unit_that_only_keeps_other_ranks_company_counts_for_nothing(setup: Setup) -> None:
    total, weight = gradient.accumulate(
        setup, step_of(3.0), micro_batches([points_of(3, 0)], counts=False)
    )
    assert (float(total), weight) == (0.0, 0.0)
    assert all(not each.any() for each in gradients(setup))
    assert gradient.over_ranks(setup, total, weight, stop=True) == (total, 0.0, True)


def test_a_step_in_which_nothing_counts_has_no_mean(setup: Setup) -> None:
    step = step_of(3.0)
    total, weight = gradient.accumulate(setup, step, micro_batches([points_of(3, 3)]))
    loss, norm = gradient.of_mean(setup, step, total, weight, max_norm=1.0)
    assert math.isnan(loss)
    assert norm == 0.0
