"""GPUs: their names, their speed, and the profiles that request a node with one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One kind of GPU."""

    product: str
    """Label that NVIDIA's GPU feature discovery gives its nodes."""
    name: str
    """Text that the label of every product of this kind contains."""
    memory_gib: float
    """Memory that CUDA shows of one device, rounded down; the rest is for error correction."""
    peak_tflops: float
    """bf16 matrix peak of one device (vendor's data sheet, dense)."""
    profile: str = ""
    """Name for `--profile`; empty if there is no profile."""
    host_cpus: int = 8
    """Cores of a usual node for each of its GPUs."""
    host_memory_gib: int = 48
    """Memory of a usual node for each of its GPUs."""


GPUS: tuple[Gpu, ...] = (
    Gpu(
        product="NVIDIA-A100-SXM4-80GB",
        name="A100",
        memory_gib=79.1,
        peak_tflops=312.0,
        profile="a100-80gb",
        host_memory_gib=96,
    ),
    Gpu(
        product="NVIDIA-A100-SXM4-40GB",
        name="A100",
        memory_gib=39.3,
        peak_tflops=312.0,
        profile="a100-40gb",
    ),
    Gpu(
        product="NVIDIA-H100-80GB-HBM3",
        name="H100",
        memory_gib=79.1,
        peak_tflops=989.0,
        profile="h100",
        host_memory_gib=96,
    ),
    Gpu(product="NVIDIA-H200", name="H200", memory_gib=139.7, peak_tflops=989.0),
    Gpu(
        product="NVIDIA-L4",
        name="L4",
        memory_gib=22.0,
        peak_tflops=121.0,
        profile="l4",
        host_cpus=6,
        host_memory_gib=24,
    ),
    Gpu(product="NVIDIA-L40S", name="L40S", memory_gib=44.3, peak_tflops=362.0),
    Gpu(product="Tesla-T4", name="T4", memory_gib=14.5, peak_tflops=65.0),
)
# A GPU of which nothing is known.
ANY = Gpu(product="", name="GPU", memory_gib=0.0, peak_tflops=0.0)
# Values that each profile sets, by its name.
PROFILES: dict[str, dict[str, Any]] = {
    gpu.profile: {"resources.gpu_product": gpu.product} for gpu in GPUS if gpu.profile
}


def peak_tflops(product: str) -> float:
    """The bf16 peak of a product; an unknown product counts as an A100."""
    names = sorted({gpu.name: gpu for gpu in GPUS}.values(), key=lambda gpu: -len(gpu.name))
    known = (gpu.peak_tflops for gpu in names if gpu.name in product.upper())
    return next(known, GPUS[0].peak_tflops)


def find(product: str) -> Gpu | None:
    """The GPU of exactly this product; None if it is not known."""
    return next((gpu for gpu in GPUS if gpu.product == product), None)


def memory_gib(product: str) -> float | None:
    """Memory of a product in GiB, if it is known or its label says it; else None.

    Of "40GB" in a label CUDA shows 39.4 GiB. A MIG slice names its own memory last.
    """
    if known := find(product):
        return known.memory_gib
    named = re.findall(r"(\d+)gb", product.lower())
    return int(named[-1]) * 0.98 if named else None
