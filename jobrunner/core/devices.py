"""The device that a stage computes on, and its precision."""

from __future__ import annotations

import os

import torch

from jobrunner.errors import DeviceError
from jobrunner.spec.placement import ResourcesSpec


def choose_device(resources: ResourcesSpec) -> torch.device:
    """The GPU of this process (by LOCAL_RANK), or the CPU if that was requested.

    Raises:
        DeviceError: the run requests a GPU, but none is visible.
    """
    if resources.device == "cpu" or (resources.device == "auto" and resources.gpus == 0):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            "The run requests a GPU, but none is visible.",
            hint="Check the driver and the GPU request, or run with --device cpu.",
        )
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def choose_dtype(resources: ResourcesSpec, device: torch.device) -> torch.dtype:
    """bfloat16 if requested, or if nothing was requested and the GPU has it; else float32."""
    if resources.precision == "bf16":
        return torch.bfloat16
    if resources.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32
