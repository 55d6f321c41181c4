"""The GPUs of this machine according to `nvidia-smi`: no torch, no CUDA context."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from jobrunner.errors import DeviceError

# A driver that is loaded for the first time takes some seconds to answer.
SECONDS_TO_ANSWER = 30


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One device that a stage can be given."""

    id: str
    """UUID for CUDA_VISIBLE_DEVICES; it means the same device in any order of devices."""
    product: str
    """Name such as `NVIDIA A100-SXM4-80GB`; empty for a part of a GPU (MIG)."""


def visible(environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """The GPUs of this machine that CUDA_VISIBLE_DEVICES shows.

    Raises:
        DeviceError: `nvidia-smi` exists but does not answer.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and not chosen.strip():
        return []
    try:
        found = _ask(environment)
    except FileNotFoundError:
        return []
    return found if chosen is None else _choose(found, chosen)


def check(found: int, wanted: int) -> None:
    """Raises DeviceError if fewer GPUs were found than a stage wants."""
    if found < wanted:
        fewer = f", or --gpus {found} for fewer" if found else ""
        raise DeviceError(
            f"The run asks for {wanted} GPU{'s' * (wanted > 1)}, but this machine shows "
            f"{found or 'none'}.",
            hint=f"Use --device cpu to train on the CPU{fewer}.",
        )


def _ask(environment: Mapping[str, str]) -> list[Gpu]:
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid,name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_ANSWER,
            env=dict(environment),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"nvidia-smi did not answer in {SECONDS_TO_ANSWER} s.",
            hint="Look at the GPU driver, or use --device cpu.",
        ) from None
    if answer.returncode:
        return []
    rows = [line.split(",", 1) for line in answer.stdout.splitlines() if "," in line]
    return [Gpu(id=uuid.strip(), product=name.strip()) for uuid, name in rows]


def _choose(found: list[Gpu], chosen: str) -> list[Gpu]:
    """Chooses as CUDA does, by index or start of a UUID; all after an unknown one are hidden."""
    shown: list[Gpu] = []
    for token in (part.strip() for part in chosen.split(",")):
        if token.startswith("MIG-"):
            match = [Gpu(id=token, product="")]
        elif token.isdigit():
            match = found[int(token) : int(token) + 1]
        else:
            match = [gpu for gpu in found if token and gpu.id.startswith(token)]
        if len(match) != 1:
            break
        shown += match
    return shown
