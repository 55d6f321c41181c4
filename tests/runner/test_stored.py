"""Damage in storage is no dead end: who follows the hint sees the run end well."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.runner import stored
from jobrunner.runner.api import Runner
from jobrunner.spec import RunSpec, keys
from jobrunner.spec import plan as plans
from jobrunner.states import RunStatus, State
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.harness.paths import STAGES
from tests.harness.speech import rows, write_speech
from tests.harness.tiny import make_whisper
from tests.harness.waiting import until

HINT = "Submit the run again; the missing part is then made again."
SECONDS = 240.0


class Runs:
    """Real runs of a very small model on very little speech.

    Args:
        root: folder of everything.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage = LocalStorage(root / "storage")
        command = (sys.executable, str(STAGES / "held.py"))
        self.runner = Runner(LocalBackend(root / "state", command=command, retry_seconds=0.05))

    def spec(self, seed: int) -> RunSpec:
        return builders.spec(
            seed=seed,
            model=str(self.root / "tiny"),
            storage=str(self.root / "storage"),
            data={"source": f"folder:{self.root / 'speech'}"},
            train={
                **{"steps": 2, "warmup_steps": 1, "save_every": 1, "validate_every": 2},
                **{"batch_seconds": 2.0, "validation_utterances": 1, "learning_rate": 1e-4},
            },
            resources={"device": "cpu", "workers": 1, "device_seconds": 2.0},
        )

    def submit(self, spec: RunSpec) -> str:
        return self.runner.submit(spec).run

    def ended(self, spec: RunSpec) -> RunStatus:
        return self.runner.wait(self.submit(spec), timeout=SECONDS)

    def log(self, run: str, stage: str) -> list[str]:
        return [line.text for line in self.runner.logs(run, stage=stage)]

    def keys(self, start: str, end: str) -> list[str]:
        return [e.key for e in self.storage.list(start) if e.key.endswith(end)]

    def damage(self, key: str) -> None:
        """Other bytes of the same number, so that no listing shows it."""
        self.storage.write(key, bytes(len(self.storage.read(key))))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.setenv("JOBRUNNER_TEST_CONTROL", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_whisper(tmp_path / "tiny")
    write_speech(tmp_path / "speech", rows())
    made = Runs(tmp_path)
    yield made
    for status in made.runner.list():
        made.runner.cancel(status.run)


def attempts(status: RunStatus) -> dict[str, int]:
    return {stage.stage: stage.attempts for stage in status.stages}


def _lose_a_shard_while_stopped(runs: Runs, spec: RunSpec) -> str:
    """Stops a run in training, deletes a shard, and submits the run again."""
    (runs.root / "hold-2").touch()
    run = runs.submit(spec)
    until(lambda: list(runs.root.glob("held-2-*")), "training is held", SECONDS)
    runs.runner.cancel(run)
    (runs.root / "hold-2").unlink()
    recorded = runs.runner.record(run).spec
    [shard] = runs.keys(keys.split_prefix(recorded, "el", "train"), ".flacs")
    before = runs.storage.read(shard)
    runs.storage.delete(shard)

    status = runs.ended(spec)

    assert status.state is State.SUCCEEDED
    assert attempts(status) == {"prepare": 2, "train": 2, "evaluate-el": 1}
    assert runs.storage.read(shard) == before
    assert any(f"{shard} is not in storage" in line for line in runs.log(run, "prepare"))
    return run


def _damage_the_export(runs: Runs, spec: RunSpec, run: str) -> None:
    """Leaves only the evaluation of a run to be done, with an export that has other bytes."""
    key = keys.export_prefix(run) + "model.safetensors"
    before = runs.storage.read(key)
    runs.damage(key)
    runs.runner.delete(run)
    for result in runs.keys(keys.evaluations_prefix(run), "result.json"):
        runs.storage.delete(result)

    status = runs.ended(spec)

    assert status.state is State.FAILED
    assert status.reason == f"{key} differs from its manifest. {HINT}"
    assert status.current
    assert (status.current.exit_code, status.current.attempts) == (69, 1)
    assert runs.storage.stat(key) is None
    again = runs.ended(spec)
    assert again.state is State.SUCCEEDED, again.reason
    assert attempts(again) == {"prepare": 2, "train": 2, "evaluate-el": 2}
    assert runs.storage.read(key) == before


def _look(runs: Runs, run: str) -> None:
    """Deletes one manifest after the other and looks."""
    record = runs.runner.record(run)
    plan = plans.plan(record)
    assert stored.lost(plan) == set()
    for prefix, stage in [
        (keys.model_prefix(record.spec), "prepare"),
        (keys.split_prefix(record.spec, "el", "validation"), "prepare"),
        (keys.export_prefix(run), "train"),
    ]:
        [key] = runs.keys(prefix, "manifest.json")
        data = runs.storage.read(key)
        runs.storage.delete(key)
        assert stored.lost(plan) == {stage}
        runs.storage.write(key, data)
    assert stored.lost(plan) == set()


def test_who_submits_a_damaged_run_again_sees_it_end_well(runs: Runs) -> None:
    # One run after the other in one test, because each of the 11 processes loads torch.
    run = _lose_a_shard_while_stopped(runs, runs.spec(0))
    _look(runs, run)
    _damage_the_export(runs, runs.spec(0), run)


def test_a_storage_that_cannot_be_asked_has_lost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    assert stored.lost(builders.plan(storage="s3://bucket/runs")) == set()
