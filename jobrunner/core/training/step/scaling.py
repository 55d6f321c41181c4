"""Training in fp16: the loss is scaled, so that small gradients do not vanish.

Where a gradient overflows, the same micro-batches are computed once more with half the scale and
equal random numbers. So no step is lost, and no clip goes unseen. V100 and T4 need it; bf16 has the
range of fp32 and does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from jobrunner.core.models.base import Batch
from jobrunner.core.training.optimiser import seed_step
from jobrunner.core.training.order import MicroBatch, Step
from jobrunner.core.training.setup import Setup
from jobrunner.core.training.step import gradient

# With a scale of 1, what is not finite comes from the model, not from the scale.
LEAST_SCALE = 1.0


class Scaling:
    """The scale of the loss over the steps. Its state is part of a checkpoint.

    Args:
        setup: holder of the gradients, and of the scaler if there is one.
        seed: seed of the run.
        log: logs one line for people.
    """

    def __init__(self, setup: Setup, seed: int, log: Callable[[str], None]) -> None:
        self._setup = setup
        self._scaler: torch.amp.GradScaler | None = setup.accelerator.scaler
        self._seed = seed
        self._log = log
        self.repeated = 0
        """Number of times that a step was computed once more."""

    def accumulate(
        self, number: int, step: Step, micro_batches: Iterator[tuple[MicroBatch, Batch]]
    ) -> tuple[torch.Tensor, float]:
        """Adds up this rank's gradients without a scale; see `gradient.accumulate`.

        They are not finite only if no scale makes them so.

        Args:
            number: number of the step, from 1.
            step: the step.
            micro_batches: its micro-batches; kept until the step is done if there is a scale.
        """
        setup, scaler = self._setup, self._scaler
        seed = partial(seed_step, self._seed, number, setup.accelerator.process_index)
        if scaler is None:
            return gradient.accumulate(setup, step, micro_batches, seed)
        kept = list(micro_batches)
        first = scaler.get_scale()
        while True:
            total, weight = gradient.accumulate(setup, step, iter(kept), seed)
            before = scaler.get_scale()
            scaler.unscale_(setup.optimiser)
            scaler.update()
            now = scaler.get_scale()
            if now >= before:
                break
            # Gradients are equal on all ranks, losses are not: all have to decide alike.
            whole, _, _ = gradient.over_ranks(setup, total, weight, stop=False)
            if now < LEAST_SCALE or not torch.isfinite(whole):
                scaler.update(first)
                break
            self.repeated += 1
            self._log(f"step {number}: a gradient overflows in fp16; again with scale {now:g}")
            setup.optimiser.zero_grad(set_to_none=True)
            seed()
        return total, weight

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint; empty where nothing is scaled."""
        if self._scaler is None:
            return {}
        return {"repeated": self.repeated, **self._scaler.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Restores the state from a checkpoint, whose precision may be another."""
        if self._scaler is not None and state:
            self.repeated = state["repeated"]
            self._scaler.load_state_dict({k: v for k, v in state.items() if k != "repeated"})
