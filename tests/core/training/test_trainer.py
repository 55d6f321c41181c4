"""A run that was killed and continued is bit for bit the run that was not."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jobrunner.core import train
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.core.checkpoint.train_state import TrainState
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training.health import Health
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import RunSpec, keys
from jobrunner.storage.local import LocalStorage
from tests.builders import run_id, stage_context
from tests.harness.fragile import FragileStorage, KilledError
from tests.harness.processes import CORE, SECONDS, stage_variables, until_met
from tests.harness.tiny import make_run

STEPS = 8


def spec_in(root: Path, **changes: Any) -> RunSpec:
    """8 steps in two micro-batches each, 4 steps an epoch, a save every 2nd step."""
    return make_run(root, train__steps=STEPS, **changes)


def outcome(spec: RunSpec) -> dict[str, Any]:
    """All that must be equal: weights, optimiser, losses and measures, position, export."""
    storage = LocalStorage(Path(spec.storage))
    run = run_id(spec)
    reader = Checkpoints(storage, run, "reader", storage.root / "read", print)
    found = reader.restore()
    assert found is not None
    assert found.step == spec.train.steps
    state = TrainState.from_json(
        (found.folder / "state.json").read_bytes(), (found.folder / "history.jsonl").read_bytes()
    )
    files = json.loads(storage.read(keys.export_prefix(run) + "manifest.json"))["files"]
    training = json.loads(storage.read(keys.export_prefix(run) + "training.json"))
    # The spec names the folders of the test.
    del files["training.json"], training["spec"], training["run"]
    told: dict[str, Any] = {
        name: hashlib.sha256((found.folder / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "optimizer.safetensors", "history.jsonl")
    }
    state.resumes = state.passed_over = 0
    told |= {"state": state, "export": files, "training": training}
    return told


class Watched:
    """Records the random generators and the windows of each step that was completed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: dict[int, Any] = {}
        accept, advance = Health.accept, Trainer._advance

        def accepting(health: Health, step: int, loss: float, norm: float) -> bool:
            self.seen[step] = [generators()]
            return accept(health, step, loss, norm)

        def advancing(trainer: Trainer, step: Any, *more: Any) -> None:
            self.seen[trainer.state.step + 1].append(step)
            advance(trainer, step, *more)

        patch.setattr(Health, "accept", accepting)
        patch.setattr(Trainer, "_advance", advancing)


def generators() -> str:
    states = (torch.get_rng_state().tolist(), np.random.get_state(), random.getstate())
    return hashlib.sha256(repr(states).encode()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[int, Any]]:
    """The run in one go: what came out, and what was seen at each step."""
    root = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(patch)
        spec = spec_in(root)
        train.run(stage_context(spec, root / "scratch"))
    return outcome(spec), watched.seen


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def attempt_until_killed(spec: RunSpec, root: Path, context: StageContext | None = None) -> bool:
    """One attempt; True if it was killed."""
    try:
        train.run(context or stage_context(spec, root / "scratch"))
    except KilledError:
        return True
    return False


def kill_at_call(patch: pytest.MonkeyPatch, owner: Any, name: str, call: int) -> None:
    """The process ends instead of the n-th call (from 1) of a method."""
    calls = iter(range(1, sys.maxsize))
    method = getattr(owner, name)

    def counting(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise KilledError
        return method(*arguments, **named)

    patch.setattr(owner, name, counting)


# Steps have two micro-batches each. A validation is one batch, and there is one before the first
# step too: the 10th loss is in the middle of step 4, an epoch's last. Validations and saves come
# after steps 2, 4, 6 and 8.
@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (Whisper, "loss", 1),
        (Whisper, "loss", 10),
        (Trainer, "_advance", 4),
        (Trainer, "_advance", 5),
        (Trainer, "validate", 2),
        (Trainer, "save", 3),
        (Trainer, "finish", 1),
    ],
    ids=["first", "accumulating", "epoch-end", "epoch-begin", "validating", "saving", "finishing"],
)
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path,
    undisturbed: tuple[dict[str, Any], dict[int, Any]],
    watched: Watched,
    owner: Any,
    name: str,
    call: int,
) -> None:
    spec = spec_in(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at_call(patch, owner, name, call)
        assert attempt_until_killed(spec, tmp_path)
    assert not attempt_until_killed(spec, tmp_path)
    assert outcome(spec) == undisturbed[0]
    assert watched.seen == undisturbed[1]


def test_kills_inside_a_save_again_and_again_change_nothing(
    tmp_path: Path, undisturbed: tuple[dict[str, Any], dict[int, Any]]
) -> None:
    spec = spec_in(tmp_path)
    # In the first save; in the second; in one after a checkpoint was read, which takes six.
    for at in (2, 8, 10):
        inner = LocalStorage(Path(spec.storage))
        storage = FragileStorage(inner, at=at, within="/checkpoints/step-")
        context = stage_context(spec, tmp_path / "scratch", storage=storage)
        assert attempt_until_killed(spec, tmp_path, context)
        assert storage.broke_at
    assert not attempt_until_killed(spec, tmp_path)
    assert outcome(spec) == undisturbed[0]


def test_a_step_that_is_not_finite_changes_no_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    trainer = Trainer(
        stage_context(spec, tmp_path / "s"), set_up(stage_context(spec, tmp_path / "s"))
    )
    trainer.restore()
    trainer.step()
    before = {name: p.detach().clone() for name, p in trainer.setup.trained.items()}
    loss = Whisper.loss
    with monkeypatch.context() as patch:
        patch.setattr(Whisper, "loss", lambda *arguments: loss(*arguments) * math.nan)
        trainer.step()
    assert trainer.health.skipped == 1
    for name, parameter in trainer.setup.trained.items():
        assert torch.equal(parameter, before[name])
    trainer.step()
    first = next(iter(before))
    assert not torch.equal(trainer.setup.trained[first], before[first])
    history = trainer.state.history
    assert [record["loss"] is None for record in history] == [False, True, False]
    finite = tuple(float(f"{record['loss']:.4g}") for record in history if record["loss"])
    assert trainer.context.progress.now.losses == finite


def test_the_curve_of_the_loss_goes_on_after_a_kill(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at_call(patch, Trainer, "save", 3)
        assert attempt_until_killed(spec, tmp_path)
    context = stage_context(spec, tmp_path / "s")
    trainer = Trainer(context, set_up(context))
    trainer.restore()
    losses = [record["loss"] for record in trainer.state.history if "loss" in record]
    # Saves come every second step; the third one did not happen.
    assert len(losses) == 4
    assert context.progress.now.losses == tuple(float(f"{loss:.4g}") for loss in losses)


def start(spec: RunSpec, root: Path, name: str) -> subprocess.Popen[str]:
    """The stage as a process, in a process group of its own."""
    variables = stage_variables(spec, root, root / name)
    return subprocess.Popen(
        [*CORE, "train"],
        env={**os.environ, **variables, "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def saved(spec: RunSpec, step: int) -> Callable[[], bool]:
    """True once a checkpoint of the step is committed."""
    storage = LocalStorage(Path(spec.storage))
    key = keys.checkpoint_prefix(run_id(spec), step) + keys.COMMIT
    return lambda: storage.stat(key) is not None


def test_a_run_killed_and_stopped_as_a_process_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "train__steps": 60,
        "train__save_every": 10,
        "train__validate_every": 20,
    }
    spec = make_run(tmp_path, **changes)
    killed = start(spec, tmp_path, "killed")
    until_met(saved(spec, 10), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=SECONDS)
    assert killed.returncode == -signal.SIGKILL
    stopped = start(spec, tmp_path, "stopped")
    until_met(saved(spec, 30), stopped)
    os.killpg(stopped.pid, signal.SIGTERM)
    talk, _ = stopped.communicate(timeout=SECONDS)
    assert stopped.returncode == 143, talk
    assert "continuing from the checkpoint of step" in talk
    assert "error: Stopped after step" in talk
    train.run(stage_context(spec, tmp_path / "last"))
    whole = make_run(tmp_path / "whole", **changes)
    train.run(stage_context(whole, tmp_path / "whole" / "scratch"))
    assert outcome(spec) == outcome(whole)
