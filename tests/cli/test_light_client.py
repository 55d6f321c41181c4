"""The plain install: no torch, no numpy. It looks, plans and reports, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from jobrunner.catalog import installed
from tests.harness.commandline import CliHarness, Jobrunner

# Refuses the packages of the extra `core` and what they bring, as if they were not there.
PROBE = """
import sys
for name in ("torch", "transformers", "datasets", "pyarrow", "numpy", "jiwer", "accelerate",
             "soundfile", "soxr", "safetensors", "huggingface_hub", "evaluate"):
    sys.modules[name] = None
from jobrunner.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "typed",
    [
        "list",
        "status",
        "logs",
        "report",
        "storage du --storage .",
        "storage check --repair --storage .",
        "storage prune --storage .",
        "doctor",
        "show",
        "diff @latest @latest",
        "resume @latest",
        "submit --lang el --storage s3://speech/runs --dry-run",
        "render --lang el --storage s3://speech/runs",
    ],
)
def test_commands_work_without_the_core(harness: CliHarness, typed: str) -> None:
    harness.runner.wait(harness.start(), timeout=30)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *typed.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_local_run_says_what_is_missing(
    jobrunner: Jobrunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package in {"torch", "soxr"}:
            raise metadata.PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(metadata, "version", version)
    answer = jobrunner("submit", "--lang", "el", "--local", "--device", "cpu")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: This machine lacks packages that a local run needs: soxr, torch. "
        "pip install 'jobrunner[core]'\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_the_core_is_what_the_project_declares() -> None:
    assert "torch" in installed.packages("core")
    assert "click" not in installed.packages("core")
    assert installed.missing("core") == []
