"""The gradient of one step: over micro-batches and ranks, of the mean loss, clipped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext

import torch

from jobrunner.core.models.base import Batch
from jobrunner.core.training.order import MicroBatch, Step
from jobrunner.core.training.setup import Setup


def accumulate(
    setup: Setup, step: Step, micro_batches: Iterator[tuple[MicroBatch, Batch]]
) -> tuple[torch.Tensor, float]:
    """Adds up this rank's gradients; returns its summed loss and weight.

    The loss is divided by the step's expected weight. DDP takes the mean of the ranks' gradients,
    so each is scaled by their number.
    """
    total, weight = torch.zeros((), device=setup.device), 0.0
    for micro, batch in micro_batches:
        alone = setup.ranks == 1 or micro.last
        with nullcontext() if alone else setup.accelerator.no_sync(setup.module):
            loss = setup.model.loss(batch.to(setup.device), setup.module)
            loss = loss if micro.counts else loss * 0.0
            setup.accelerator.backward(loss * (setup.ranks / step.weight))
        total += loss.detach()
        weight += batch.weight if micro.counts else 0.0
    return total, weight


def over_ranks(
    setup: Setup, total: torch.Tensor, weight: float, stop: bool
) -> tuple[torch.Tensor, float | torch.Tensor, bool | torch.Tensor]:
    """Loss and weight of all ranks, and whether any of them is to stop.

    On several ranks these are scalars on the device: their numbers would have to be waited for.
    """
    if setup.ranks == 1:
        return total, weight, stop
    weight_and_stop = torch.tensor([weight, float(stop)]).to(total.device, non_blocking=True)
    total, weights, stops = setup.accelerator.reduce(
        torch.cat([total[None], weight_and_stop])
    ).unbind()
    return total, weights, stops > 0


def of_mean(
    setup: Setup, step: Step, total: torch.Tensor, weight: float | torch.Tensor, max_norm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turns the gradient into that of the mean loss and clips it; returns mean and norm before.

    Both are scalars on the device, not finite if the step is not to be applied. The weight differs
    from the expected one if collation decides it, as with masked tokens.

    Args:
        setup: holder of the gradients.
        step: the step.
        total, weight: summed loss and weight of all ranks.
        max_norm: norm that gradients are clipped to.
    """
    parameters = list(setup.trained.values())
    if isinstance(weight, torch.Tensor) or (weight and weight != step.weight):
        sums = torch.as_tensor(weight, dtype=torch.float32, device=total.device)
        factor = torch.where(sums > 0, step.weight / sums, 1.0)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad *= factor
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return (
        total / weight if isinstance(weight, torch.Tensor) or weight else total * math.nan
    ), norm
