"""The update of a step, which the device decides on without asking this process."""

from __future__ import annotations

import torch

from jobrunner.core.training.setup import Setup


def apply(setup: Setup, mean: torch.Tensor, norm: torch.Tensor) -> None:
    """Updates the weights unless loss or gradient is not finite; frees the gradients.

    The device decides by itself, so that the optimiser need not wait until this process has read
    the loss.
    """
    step_if(setup.optimiser, torch.isfinite(mean) & torch.isfinite(norm))
    setup.optimiser.zero_grad(set_to_none=True)


def read(
    mean: torch.Tensor, norm: torch.Tensor, stop: bool | torch.Tensor
) -> tuple[float, float, bool]:
    """The numbers of a step, as soon as the device has them: the only wait for it in a step."""
    if isinstance(stop, torch.Tensor):
        loss, norm_before, stops = torch.stack([mean, norm, stop.to(mean.dtype)]).tolist()
        return loss, norm_before, stops > 0
    loss, norm_before = torch.stack([mean, norm]).tolist()
    return loss, norm_before, stop


def step_if(optimiser: torch.optim.Optimizer, fine: torch.Tensor) -> None:
    """Does the optimiser's step if `fine`, a bool scalar on the device, is true.

    A fused optimiser decides on the device, by the flag that torch's gradient scaler uses; only
    another one has to wait for the answer.
    """
    if getattr(optimiser, "_step_supports_amp_scaling", False):
        optimiser.found_inf = (~fine).float()  # type: ignore[attr-defined]
        try:
            optimiser.step()
        finally:
            del optimiser.found_inf  # type: ignore[attr-defined]
    elif bool(fine):
        optimiser.step()
