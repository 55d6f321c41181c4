"""Watches loss and gradient, so that a run that went wrong ends with the reason."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from jobrunner.catalog import models
from jobrunner.errors import Diverged
from jobrunner.spec import TrainSpec

# Consecutive steps without a finite loss or gradient that end the run. A single one is skipped:
# weights and optimiser stay as they were.
MOST_NON_FINITE = 5
# Steps in the running mean of the loss.
WINDOW = 20
# The run has diverged if the mean is over RATIO times the best one, and over MARGIN (nats a token)
# above it. MARGIN avoids an alarm for a loss near zero: 0.02 → 0.08 is not a divergence.
RATIO = 3.0
MARGIN = 1.0


class Health:
    """Judges each step. Its state is part of a checkpoint.

    Args:
        train: the run's options.
        usual: the model's usual learning rate.
    """

    def __init__(self, train: TrainSpec, usual: float = models.DEFAULT_LEARNING_RATE) -> None:
        self._train = train
        self._usual = usual
        self.skipped = 0
        """Number of steps that were skipped so far."""
        self._in_a_row = 0
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._best = math.inf

    def accept(self, step: int, loss: float, gradient_norm: float) -> bool:
        """True if the step's gradient may be applied.

        Args:
            step: number of the step, from 1.
            loss: mean loss of the step, nats a token.
            gradient_norm: norm before clipping.

        Raises:
            Diverged: the run cannot be saved; says why and what to try.
        """
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            self.skipped += 1
            self._in_a_row += 1
            if self._in_a_row >= MOST_NON_FINITE:
                raise Diverged(
                    f"Loss or gradient were not finite in {self._in_a_row} steps in a row, "
                    f"the last of them step {step}.",
                    hint=self._advice(),
                )
            return False
        self._in_a_row = 0
        self._recent.append(loss)
        if len(self._recent) == WINDOW:
            self._judge(step, sum(self._recent) / WINDOW)
        return True

    def _judge(self, step: int, mean: float) -> None:
        self._best = min(self._best, mean)
        if step <= self._train.warmup_steps:
            return
        if mean > RATIO * self._best and mean > self._best + MARGIN:
            raise Diverged(
                f"Training diverged: over the last {WINDOW} steps up to step {step} the loss is "
                f"{mean:.2f}, after {self._best:.2f} at its best.",
                hint=self._advice(),
            )

    def _advice(self) -> str:
        rate = self._train.learning_rate
        if rate > self._usual:
            usual = f"try the model's usual one, --learning-rate {self._usual:.3g}."
            return f"The learning rate is {rate:.3g}; {usual}"
        return f"The learning rate is {rate:.3g}; try {rate / 4:.1g} with --learning-rate."

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {
            "skipped": self.skipped,
            "in_a_row": self._in_a_row,
            "recent": list(self._recent),
            "best": self._best,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restores the state from a checkpoint."""
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]
        self._recent.clear()
        self._recent.extend(state["recent"])
        self._best = state["best"]
