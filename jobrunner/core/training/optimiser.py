"""AdamW, its learning rate at each step, and its state by the names of the parameters."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from jobrunner.core.models.base import ParameterGroup
from jobrunner.core.training.step import adam8bit
from jobrunner.spec import TrainSpec

# From large-scale weakly supervised pre-training (Radford et al. 2022, table 17).
BETAS = (0.9, 0.98)
EPSILON = 1e-6


def learning_rate(train: TrainSpec, step: int) -> float:
    """The rate of step `step` (from 1): linear warm-up to the peak, then linear decay to 0."""
    if step <= train.warmup_steps:
        return train.learning_rate * step / train.warmup_steps
    return train.learning_rate * (train.steps - step + 1) / (train.steps - train.warmup_steps)


def make_optimiser(groups: Sequence[ParameterGroup], train: TrainSpec) -> torch.optim.Optimizer:
    """AdamW over the groups of trained parameters, in their order.

    Raises:
        UsageError: the one in 8 bits is asked for, and its package is not installed.
    """
    held = [
        {
            "params": list(group.parameters.values()),
            "weight_decay": train.weight_decay if group.decays else 0.0,
        }
        for group in groups
    ]
    options: dict[str, Any] = {"lr": train.learning_rate, "betas": BETAS, "eps": EPSILON}
    if train.optimiser == "adamw8bit":
        return adam8bit.make(held, **options)
    # One kernel for all weights, which can also leave a step out (`step_if`). It takes a third of
    # the loop's time on a CPU.
    return torch.optim.AdamW(held, **options, fused=True)


def set_rate(
    optimiser: torch.optim.Optimizer, groups: Sequence[ParameterGroup], rate: float
) -> None:
    """Sets the learning rate of the next step, times each group's own factor."""
    for held, group in zip(optimiser.param_groups, groups, strict=True):
        held["lr"] = rate * group.rate


def _names(groups: Sequence[ParameterGroup]) -> list[str]:
    """Names in the order in which the optimiser numbers its parameters."""
    return [name for group in groups for name in group.parameters]


def state_tensors(
    optimiser: torch.optim.Optimizer, groups: Sequence[ParameterGroup]
) -> dict[str, torch.Tensor]:
    """The optimiser's state as `<parameter>/<slot>` → tensor; empty before the first step."""
    state = optimiser.state_dict()["state"]
    return {
        f"{name}/{slot}": value
        for number, name in enumerate(_names(groups))
        for slot, value in adam8bit.flat(state.get(number, {})).items()
    }


def load_state(
    optimiser: torch.optim.Optimizer,
    groups: Sequence[ParameterGroup],
    tensors: dict[str, torch.Tensor],
) -> None:
    """Restores the optimiser from the result of `state_tensors`.

    Raises:
        ValueError: the tensors belong to another model.
    """
    numbers = {name: number for number, name in enumerate(_names(groups))}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        name, _, slot = key.rpartition("/")
        if name not in numbers:
            raise ValueError(f"the optimiser has no parameter {name}")
        state.setdefault(numbers[name], {})[slot] = value
    if state and len(state) != len(numbers):
        raise ValueError(f"state of {len(state)} parameters where the optimiser has {len(numbers)}")
    whole = {number: adam8bit.nested(slots) for number, slots in state.items()}
    held = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": whole, "param_groups": held})


def seed_step(seed: int, step: int, rank: int) -> None:
    """Sets all random generators for one step of one rank.

    Their states depend only on these three numbers. So checkpoints need not save them, and neither
    validation nor a retry disturbs them. Dropout and masks differ if ranks or micro-batches do.
    """
    words = np.random.SeedSequence([seed, step, rank]).generate_state(4).tolist()
    torch.manual_seed(words[0] << 32 | words[1])
    np.random.seed(words[2])
    random.seed(words[3])
