"""Decides when a checkpoint is due: by steps, by time, and at each validation."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobrunner.spec import TrainSpec

# An attempt's first save by time comes after this share of `save_minutes`, the next ones after
# twice the time of the one before. So an attempt loses at most half of what it did, and a node that
# lives ten minutes makes progress even if an upload takes several of them.
FIRST_SHARE = 1 / 8


class Saves:
    """The checkpoints of one attempt that are due.

    Only the first rank saves, without any collective operation, so its own clock is enough.

    Args:
        train: the run's options.
        clock: seconds on a clock that never goes back.
    """

    def __init__(self, train: TrainSpec, clock: Callable[[], float] = time.monotonic) -> None:
        self._train = train
        self._clock = clock
        self._began = clock()
        self._interval = 60.0 * train.save_minutes * FIRST_SHARE
        self._postponed = False
        self.step = 0
        """Step of the last save."""

    def resume(self, step: int) -> None:
        """Counts from a checkpoint that was restored."""
        self.step, self._began = step, self._clock()

    def due(self, step: int, *, needed: bool, busy: bool) -> bool:
        """True if a checkpoint is to be saved now.

        Args:
            step: optimiser steps done.
            needed: the last step, or one that was validated: the best model must be in storage.
            busy: an upload is in flight. Any other save is postponed until it ends.
        """
        if step <= self.step:
            return False
        if needed:
            return True
        by_steps = step % self._train.save_every == 0
        by_time = 0 < self._interval <= self._clock() - self._began
        wanted = self._postponed or by_steps or by_time
        self._postponed = wanted and busy
        return wanted and not busy

    def saved(self, step: int) -> None:
        """Notes that a save of a step has begun."""
        self.step, self._began, self._postponed = step, self._clock(), False
        self._interval = min(2 * self._interval, 60.0 * self._train.save_minutes)
