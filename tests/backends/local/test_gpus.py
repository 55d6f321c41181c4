"""Which GPUs are seen, with and without CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobrunner.backends.local import gpus
from jobrunner.errors import DeviceError


def _machine(folder: Path, body: str) -> dict[str, str]:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def _ids(environment: dict[str, str]) -> list[str]:
    return [gpu.id for gpu in gpus.visible(environment)]


THREE = r"printf 'GPU-aa1, NVIDIA L4\nGPU-ab2, NVIDIA L4\nGPU-c3, NVIDIA A100-SXM4-80GB\n'"


def test_a_machine_without_a_driver_has_none(tmp_path: Path) -> None:
    assert gpus.visible({"PATH": str(tmp_path)}) == []


def test_a_driver_that_fails_means_none(tmp_path: Path) -> None:
    assert _ids(_machine(tmp_path, "echo 'NVIDIA-SMI has failed'; exit 9")) == []


def test_each_gpu_has_its_uuid_and_product(tmp_path: Path) -> None:
    found = gpus.visible(_machine(tmp_path, THREE))
    assert [gpu.id for gpu in found] == ["GPU-aa1", "GPU-ab2", "GPU-c3"]
    assert found[2].product == "NVIDIA A100-SXM4-80GB"


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        ("", []),
        ("1", ["GPU-ab2"]),
        ("2,0", ["GPU-c3", "GPU-aa1"]),
        ("GPU-c", ["GPU-c3"]),
        ("0,-1,2", ["GPU-aa1"]),
        ("0,7,2", ["GPU-aa1"]),
        ("GPU-a", []),
        ("MIG-GPU-c3/1/0", ["MIG-GPU-c3/1/0"]),
    ],
)
def test_only_what_cuda_shows_is_used(tmp_path: Path, chosen: str, seen: list[str]) -> None:
    assert _ids({**_machine(tmp_path, THREE), "CUDA_VISIBLE_DEVICES": chosen}) == seen


def test_fewer_gpus_than_asked_for_is_one_line_with_the_way_out() -> None:
    with pytest.raises(
        DeviceError, match=r"asks for 1 GPU, but this machine shows none\. Use --de"
    ):
        gpus.check(0, 1)
    gpus.check(2, 2)
