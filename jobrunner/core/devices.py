"""The device that a stage computes on, and its precision."""

from __future__ import annotations

import os
from typing import Literal

import torch

from jobrunner.errors import DeviceError
from jobrunner.spec.placement import ResourcesSpec

Precision = Literal["bf16", "fp16", "fp32"]
DTYPES: dict[Precision, torch.dtype] = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
}


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


def choose_precision(resources: ResourcesSpec, device: torch.device) -> Precision:
    """The precision of matrix products: the one requested, or the best that the device has.

    V100 and T4 compute bf16 by emulation, slower than fp32; they have fp16.

    Raises:
        DeviceError: bf16 is requested, and the GPU only emulates it.
    """
    gpu = device.type == "cuda"
    has_bf16 = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if resources.precision == "auto":
        return "bf16" if has_bf16 else "fp16" if gpu else "fp32"
    if resources.precision == "bf16" and gpu and not has_bf16:
        raise DeviceError(
            "This GPU has no bf16.",
            hint="Submit the run with --set resources.precision=fp16; it continues where it "
            "stopped.",
        )
    return resources.precision


def choose_dtype(resources: ResourcesSpec, device: torch.device) -> torch.dtype:
    """The type of weights that are not trained; see `choose_precision`."""
    return DTYPES[choose_precision(resources, device)]
