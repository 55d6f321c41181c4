"""The gradient of one step: over micro-batches and ranks, of the mean loss, clipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import chain

import torch

from jobrunner.core.models.base import Batch
from jobrunner.core.training.order import MicroBatch, Step
from jobrunner.core.training.setup import Setup
from jobrunner.core.training.step.memory import is_full


def accumulate(
    setup: Setup,
    step: Step,
    micro_batches: Iterator[tuple[MicroBatch, Batch]],
    restart: Callable[[], None] = lambda: None,
) -> tuple[torch.Tensor, float]:
    """Adds up this rank's gradients; returns its summed loss and weight.

    If memory runs out, the step begins again with smaller micro-batches: a backward pass that did
    not end has left a part of its gradient.

    Args:
        setup: model and device.
        step: the step.
        micro_batches: its micro-batches.
        restart: seeds the random generators as at the step's beginning.

    Raises:
        OutOfMemory: not even one window fits.
    """
    taken: list[tuple[MicroBatch, Batch]] = []
    while True:
        try:
            return _added_up(setup, step, chain(tuple(taken), _noted(micro_batches, taken)))
        except Exception as error:
            if not is_full(error) or setup.memory.joined:
                raise
        # Here the error is gone, and with it the tensors that its frames held.
        drop(setup)
        setup.memory.halve()
        restart()


def drop(setup: Setup) -> None:
    """Drops the gradients."""
    for parameter in setup.trained.values():
        parameter.grad = None


def _noted(
    micro_batches: Iterator[tuple[MicroBatch, Batch]], taken: list[tuple[MicroBatch, Batch]]
) -> Iterator[tuple[MicroBatch, Batch]]:
    for pair in micro_batches:
        taken.append(pair)
        yield pair


def _added_up(
    setup: Setup, step: Step, micro_batches: Iterable[tuple[MicroBatch, Batch]]
) -> tuple[torch.Tensor, float]:
    """Adds up gradients, losses and weights of micro-batches.

    The loss is divided by the step's expected weight. DDP takes the mean of the ranks' gradients,
    so each is scaled by their number. The ranks exchange gradients in the last backward pass.
    """
    total, weight = torch.zeros((), device=setup.device), 0.0
    for micro, batch in micro_batches:
        parts = setup.memory.parts(batch)
        for part in parts:
            alone = setup.ranks == 1 or (micro.last and part is parts[-1])
            with nullcontext() if alone else setup.accelerator.no_sync(setup.module):
                loss = setup.model.loss(setup.memory.trying(part).to(setup.device), setup.module)
                loss = loss if micro.counts else loss * 0.0
                # Other ranks wait for gradients from here on: this one cannot begin again.
                setup.memory.joined = alone and setup.ranks > 1
                setup.accelerator.backward(loss * (setup.ranks / step.weight))
                setup.memory.joined = False
            total += loss.detach()
        weight += batch.weight if micro.counts else 0.0
    return total, weight


def rehearse_largest(setup: Setup, epoch: int) -> None:
    """Tries the largest micro-batch of an epoch on a GPU, whose memory is full at once if it is.

    The CPU's allocator promises more than there is, so trying would show nothing.

    Raises:
        OutOfMemory: not even one window fits.
    """
    if setup.device.type == "cuda":
        rehearse(setup, setup.feed.largest(epoch))


def rehearse(setup: Setup, batch: Batch) -> None:
    """Tries a batch, and halves of it until one fits; drops the gradients.

    One window goes first and leaves a gradient, as in a step of several micro-batches. What the
    optimiser will take is taken meanwhile.

    Args:
        setup: model and device, before the first step of an attempt.
        batch: the largest.

    Raises:
        OutOfMemory: not even one window fits.
    """
    kept = setup.memory.optimiser_bytes(setup.optimiser)
    ballast = torch.empty(kept, dtype=torch.uint8, device=setup.device)
    for tried in (batch.part(0, 1), batch):
        while True:
            try:
                part = setup.memory.trying(setup.memory.parts(tried)[0])
                with setup.accelerator.no_sync(setup.module):
                    setup.accelerator.backward(
                        setup.model.loss(part.to(setup.device), setup.module) * 0.0
                    )
                break
            except Exception as error:
                if not is_full(error):
                    raise
            setup.memory.halve()
    drop(setup)
    del ballast
    setup.memory.release()


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
