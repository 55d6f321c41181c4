"""The benchmark of a GPU runs from end to end where there is none."""

from __future__ import annotations

import subprocess
import sys

from tests.harness.paths import ROOT

GPU = ROOT / "benchmarks" / "gpu.py"


def test_the_benchmark_of_a_gpu_runs_on_a_cpu_in_a_tiny_shape() -> None:
    arguments = ["--device", "cpu", "--tiny", "--steps", "4"]
    done = subprocess.run([sys.executable, GPU, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    head, _, row = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()
    )
    found = dict(zip(head, row, strict=True))
    assert found["size"] == "tiny"
    for name in ("audio s/s", "rival, audio s/s", "ratio", "TFLOP/s", "decoding, audio s/s"):
        assert float(found[name]) > 0, name
    assert 0 <= float(found["waiting"].rstrip("%")) < 100
    assert float(found["stall, s"]) > 0
    # Only a GPU has them.
    assert (found["of peak"], found["peak GB"]) == ("-", "-")


def test_without_a_gpu_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, GPU],
        capture_output=True,
        text=True,
        env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""},
    )
    assert done.returncode == 2
    assert "no GPU is visible" in done.stderr
