"""The order of the data: which units make a step, and which of them a rank takes. Pure.

The order of an epoch is a function of the seed and the epoch's number. So a position in the data is
two integers, and a resumed run sees the same data as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jobrunner.core.models.base import Packing, Unit


@dataclass(frozen=True, kw_only=True)
class Step:
    """The units of one optimiser step, over all ranks."""

    epoch: int
    index: int
    """Position in its epoch, from 0."""
    last: bool
    """True for the epoch's last step."""
    units: tuple[Unit, ...]
    """Sorted by shape and size, the largest first, so that units of a micro-batch are alike."""
    samples: int
    """Samples of audio, without padding."""
    weight: float
    """Expected weight of the step's loss."""


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Units that go through the model of one rank together."""

    units: tuple[Unit, ...]
    counts: bool = True
    """False for a rank without a unit in this step, which only joins in the sum of gradients."""
    last: bool = True
    """True for the last one of its step, after which the ranks' gradients are added up."""


class Order:
    """Deals units to steps, epoch after epoch.

    Args:
        packing: packing of all training clips.
        batch_samples: approximate samples of audio in a step.
        seed: seed of the run.
    """

    def __init__(self, packing: Packing, *, batch_samples: int, seed: int) -> None:
        self._packing = packing
        self._batch_samples = batch_samples
        self._seed = seed

    def steps(self, epoch: int, index: int) -> Iterator[Step]:
        """All steps from a position, without end."""
        while True:
            yield from self.epoch(epoch)[index:]
            epoch, index = epoch + 1, 0

    def epoch(self, number: int) -> list[Step]:
        """The steps of an epoch. Each clip is in exactly one of them.

        Audio is divided evenly, so the last step is not smaller than the others. The number of
        steps is the epoch's audio over the budget of a step, rounded up.
        """
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, number])))
        units = self._packing.pack(random)
        lengths = np.array([unit.samples for unit in units])
        ends = np.cumsum(lengths)
        count = -(-int(ends[-1]) // self._batch_samples)
        # A unit belongs to the step in which its middle falls.
        places = ((ends - lengths / 2) * count / ends[-1]).astype(np.int64).clip(0, count - 1)
        cuts = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(units)]
        return [
            _step(number, index, index == len(cuts) - 2, units[start:end])
            for index, (start, end) in enumerate(pairwise(cuts))
        ]


def _step(epoch: int, index: int, last: bool, units: Sequence[Unit]) -> Step:
    return Step(
        epoch=epoch,
        index=index,
        last=last,
        units=tuple(sorted(units, key=lambda unit: (-unit.shape, -unit.size, unit.clips))),
        samples=sum(unit.samples for unit in units),
        weight=sum(unit.weight for unit in units),
    )


def share(step: Step, packing: Packing, *, rank: int, ranks: int) -> list[MicroBatch]:
    """The micro-batches of one rank, at least one."""
    own = step.units[rank::ranks]
    if not own:
        return [MicroBatch(units=step.units[:1], counts=False)]
    parts = packing.split(own)
    return [MicroBatch(units=tuple(part), last=part is parts[-1]) for part in parts]
