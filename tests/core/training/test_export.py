"""What stays of a training that is over: its export, and the checkpoints that a spec keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jobrunner.core import train
from jobrunner.core.checkpoint.claim import Claim
from jobrunner.core.training import export
from jobrunner.core.training.validation import Measured, Validation
from jobrunner.scoring.metrics import METRICS
from jobrunner.spec import RunSpec, keys
from tests.builders import LoggedContext, run_id, stage_context
from tests.harness.stored import committed, export_of, storage_of
from tests.harness.tiny import make_run


@pytest.fixture
def best_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the validations, at step 2 of 6, is the best."""
    rates = iter([0.3, 0.9, 0.9])
    metric = METRICS["wer"]

    def measure(self: Validation) -> Measured:
        return Measured(metric=metric, value=next(rates), others={})

    monkeypatch.setattr(Validation, "measure", measure)


def trained(spec: RunSpec, root: Path) -> LoggedContext:
    context = stage_context(spec, root / "scratch")
    train.run(context)
    return context


@pytest.mark.usefixtures("best_first")
@pytest.mark.parametrize(
    ("keep", "left"), [("all", [6, 4, 2]), ("last", [6, 2]), ("none", [])], ids=str
)
def test_checkpoints_stay_as_the_spec_says_once_the_export_is_verified(
    tmp_path: Path, keep: str, left: list[int]
) -> None:
    spec = make_run(tmp_path, keep_checkpoints=keep)
    context = trained(spec, tmp_path)
    assert committed(spec) == left
    stored = [entry.key for entry in storage_of(spec).list(keys.checkpoints_prefix(run_id(spec)))]
    assert len(stored) == len(left) * 6
    told = [line for line in context.lines if "the export is verified" in line]
    assert len(told) == (keep != "all")


def test_the_last_and_the_best_checkpoint_make_the_export_again(
    tmp_path: Path, best_first: None
) -> None:
    spec = make_run(tmp_path)
    trained(spec, tmp_path)
    storage, prefix = storage_of(spec), keys.export_prefix(run_id(spec))
    before = {entry.key: storage.read(entry.key) for entry in storage.list(prefix)}
    for key in before:
        storage.delete(key)
    # No validation is left to measure, and no step to train.
    context = trained(spec, tmp_path)
    assert "continuing from the checkpoint of step 6" in context.lines
    assert {entry.key: storage.read(entry.key) for entry in storage.list(prefix)} == before


Meanwhile = Callable[[RunSpec], None]


def _damage(spec: RunSpec) -> None:
    storage, key = storage_of(spec), keys.export_prefix(run_id(spec)) + keys.TRAINING
    storage.write(key, storage.read(key).swapcase())


def _cut(spec: RunSpec) -> None:
    storage, key = storage_of(spec), keys.export_prefix(run_id(spec)) + keys.TRAINING
    storage.write(key, storage.read(key)[:-1])


def _supersede(spec: RunSpec) -> None:
    Claim(storage_of(spec), run_id(spec), "a later attempt").take()


@pytest.mark.usefixtures("best_first")
@pytest.mark.parametrize(
    ("keep", "meanwhile", "told"),
    [
        ("none", _damage, "training.json differs from its SHA-256"),
        ("last", _cut, "training.json has"),
        ("none", _supersede, "for now: A later attempt"),
    ],
    ids=["damaged", "cut", "superseded"],
)
def test_all_checkpoints_stay_if_the_export_is_not_sound_or_another_attempt_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, meanwhile: Meanwhile, told: str
) -> None:
    spec = make_run(tmp_path, keep_checkpoints=keep)
    publish = export.publish_best

    def publishing(*arguments: object) -> None:
        publish(*arguments)  # type: ignore[arg-type]
        meanwhile(spec)

    monkeypatch.setattr(export, "publish_best", publishing)
    context = trained(spec, tmp_path)
    assert committed(spec) == [6, 4, 2]
    (line,) = [line for line in context.lines if line.startswith("all checkpoints stay")]
    assert told in line


def damaging(patch: pytest.MonkeyPatch, spec: RunSpec, *steps: int) -> None:
    """Damages the weights of these checkpoints before the export."""
    publish = export.publish_best

    def publishing(*arguments: object) -> None:
        for step in steps:
            for entry in storage_of(spec).list(keys.checkpoint_prefix(run_id(spec), step)):
                if entry.key.endswith(keys.WEIGHTS):
                    storage_of(spec).write(entry.key, b"damaged")
        publish(*arguments)  # type: ignore[arg-type]

    patch.setattr(export, "publish_best", publishing)


@pytest.mark.parametrize(
    ("rates", "damaged", "exported", "line"),
    [
        ((0.3, 0.5, 0.9), [2], 4, "The next best one, of step 4, is exported instead."),
        ((0.3, 0.5, 0.9), [2, 4], 6, "The last model is exported instead."),
        ((0.3, 0.9, 0.5), [2], 6, "The last model is exported instead."),
        # Step 2 is neither among the newest nor the best, so its checkpoint was deleted.
        ((0.5, 0.3, 0.9), [4], 6, "The last model is exported instead."),
    ],
)
def test_if_the_best_checkpoint_is_damaged_the_next_best_that_is_there_is_exported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rates: tuple[float, ...],
    damaged: list[int],
    exported: int,
    line: str,
) -> None:
    values = iter(rates)

    def measure(self: Validation) -> Measured:
        return Measured(metric=METRICS["wer"], value=next(values), others={})

    monkeypatch.setattr(Validation, "measure", measure)
    spec = make_run(tmp_path)
    damaging(monkeypatch, spec, *damaged)
    context = trained(spec, tmp_path)
    assert json.loads((export_of(spec) / keys.TRAINING).read_text())["exported_step"] == exported
    (*_, last) = [each for each in context.lines if "is exported instead" in each]
    assert last.endswith(line)
