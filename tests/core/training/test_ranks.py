"""Training as processes: real signals, real exit codes, several ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from jobrunner.core import train
from jobrunner.core.checkpoint.store import COMMIT
from jobrunner.core.training import ranks
from jobrunner.errors import DeviceError
from jobrunner.spec import RunSpec, names
from jobrunner.storage.local import LocalStorage
from tests.core.training.test_trainer import outcome
from tests.harness.tiny import make_context, make_run

COMMAND = [sys.executable, "-m", "jobrunner.core", "train"]
SECONDS_TO_WAIT = 240


def start(spec: RunSpec, root: Path, name: str) -> subprocess.Popen[str]:
    """The stage as a process, in a process group of its own."""
    (root / "run.json").write_text(spec.model_dump_json())
    environment = {
        **os.environ,
        "JOBRUNNER_SPEC": str(root / "run.json"),
        "JOBRUNNER_SCRATCH": str(root / name),
        "PYTHONSAFEPATH": "1",
    }
    return subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Polls; fails when the process ends first or nothing comes."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not condition():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)


def saved(spec: RunSpec, step: int) -> Callable[[], bool]:
    """True once a checkpoint of the step is committed."""
    storage = LocalStorage(Path(spec.storage))
    key = names.checkpoint_prefix(names.run_id(spec), step) + COMMIT
    return lambda: storage.stat(key) is not None


def test_a_run_killed_and_stopped_as_a_process_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "train__steps": 60,
        "train__save_every": 10,
        "train__validate_every": 20,
    }
    spec = make_run(tmp_path, **changes)
    killed = start(spec, tmp_path, "killed")
    wait_until(saved(spec, 10), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=SECONDS_TO_WAIT)
    assert killed.returncode == -signal.SIGKILL
    stopped = start(spec, tmp_path, "stopped")
    wait_until(saved(spec, 30), stopped)
    os.killpg(stopped.pid, signal.SIGTERM)
    talk, _ = stopped.communicate(timeout=SECONDS_TO_WAIT)
    assert stopped.returncode == 143, talk
    assert "going on from the checkpoint of step" in talk
    assert "error: Stopped after step" in talk
    train.run(make_context(spec, tmp_path / "last"))
    whole = make_run(tmp_path / "whole", **changes)
    train.run(make_context(whole, tmp_path / "whole" / "scratch"))
    assert outcome(spec) == outcome(whole)


def test_two_ranks_train_the_same_model_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random masks differ from rank to rank, so there are none here.
    changes: dict[str, Any] = {"train__dropout": 0.0, "train__spec_augment": False}
    one, two = (make_run(tmp_path / name, **changes) for name in ("one", "two"))
    train.run(make_context(one, tmp_path / "scratch"))
    (tmp_path / "run.json").write_text(two.model_dump_json())
    monkeypatch.setenv("JOBRUNNER_SPEC", str(tmp_path / "run.json"))
    monkeypatch.setenv("JOBRUNNER_SCRATCH", str(tmp_path / "two-scratch"))
    assert ranks.run(2, COMMAND) == 0
    weights = [exported(spec) for spec in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5)


def exported(spec: RunSpec) -> dict[str, torch.Tensor]:
    path = LocalStorage(Path(spec.storage)).path(
        names.export_prefix(names.run_id(spec)).rstrip("/")
    )
    found: dict[str, torch.Tensor] = safetensors.torch.load_file(path / "model.safetensors")
    return found


@pytest.mark.parametrize("code", [3, 66, 143])
def test_the_code_of_the_rank_that_failed_is_the_code_of_all(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(ranks, "SECONDS_TO_END", 0.1)
    script = "import os, sys, time\nif os.environ['RANK'] == '1': sys.exit(int(sys.argv[1]))\n"
    script += "time.sleep(0 if sys.argv[1] == '143' else 600)"
    assert ranks.run(2, [sys.executable, "-c", script, str(code)]) == code


def test_a_run_that_asked_for_a_gpu_and_sees_none_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = make_run(tmp_path, resources__device="auto", resources__gpus=1)
    with pytest.raises(DeviceError, match="--device cpu"):
        train.run(make_context(spec, tmp_path / "scratch"))
