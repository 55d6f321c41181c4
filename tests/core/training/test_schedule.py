"""The numbers of training that follow from the data: found once, kept for all attempts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobrunner.core import train
from jobrunner.core.training import schedule
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.errors import Diverged, Interrupted, Lost
from jobrunner.spec import RunSpec, keys
from tests.builders import run_id, stage_context
from tests.harness.stored import export_of, history_of, storage_of
from tests.harness.tiny import make_run

OPEN = {"train__steps": 2000, "train__epochs": 1.25, "train__learning_rate": 0.0}
STORED = b'{"steps": 4, "epochs": 0.0, "warmup_steps": 2}'
DEFAULTS = {"train__warmup_steps": 500, "train__save_every": 250, "train__validate_every": 250}


def _open_run(root: Path) -> RunSpec:
    """A run of a few steps, whose rate follows from the size of the model."""
    return make_run(root, **OPEN, **DEFAULTS)


def test_steps_rate_and_save_points_follow_from_what_was_prepared(tmp_path: Path) -> None:
    spec = _open_run(tmp_path)
    context = stage_context(spec, tmp_path / "scratch")
    numbers = schedule.scheduled(context).spec.train
    assert (numbers.steps, numbers.warmup_steps) == (5, 1)  # 1.25 × 4 steps
    assert (numbers.validate_every, numbers.save_every) == (1, 1)
    assert numbers.learning_rate == 3.75e-5  # 32 wide: as near as whisper-tiny
    assert context.lines == [
        "5 steps (1.25 epochs), learning rate 3.75e-05 after 1 steps of warm-up, validated every 1"
    ]


def test_a_run_of_given_steps_and_rate_keeps_its_numbers_and_stores_none(tmp_path: Path) -> None:
    spec = make_run(tmp_path)
    context = stage_context(spec, tmp_path / "scratch")
    assert schedule.scheduled(context) is context
    assert schedule.as_scheduled(context) is context
    assert storage_of(spec).stat(keys.schedule_file(run_id(spec))) is None


def test_a_later_attempt_ends_where_the_first_would_have_whatever_became_of_the_data(
    tmp_path: Path,
) -> None:
    spec = _open_run(tmp_path)
    first = schedule.scheduled(stage_context(spec, tmp_path / "scratch")).spec.train
    key = keys.data_prefix(spec, "el") + "train/manifest.json"
    manifest = json.loads(storage_of(spec).read(key))
    storage_of(spec).write(key, json.dumps({**manifest, "samples": 10**9}).encode())
    assert schedule.scheduled(stage_context(spec, tmp_path / "scratch")).spec.train == first
    assert schedule.as_scheduled(stage_context(spec, tmp_path / "scratch")).spec.train == first


def test_of_two_attempts_that_begin_at_once_both_do_what_the_first_stored(tmp_path: Path) -> None:
    spec = _open_run(tmp_path)
    storage_of(spec).write(keys.schedule_file(run_id(spec)), STORED)
    numbers = schedule.scheduled(stage_context(spec, tmp_path / "scratch")).spec.train
    assert (numbers.steps, numbers.is_exact) == (4, True)


def test_a_resumed_run_of_epochs_is_equal_bit_for_bit(tmp_path: Path) -> None:
    whole, stopped = (make_run(tmp_path / name, **OPEN) for name in ("whole", "stopped"))
    train.run(stage_context(whole, tmp_path / "a"))
    context = stage_context(stopped, tmp_path / "b")
    context.stop.requested_at = 0.0
    with pytest.raises(Interrupted):
        train.run(context)
    train.run(stage_context(stopped, tmp_path / "b"))
    assert history_of(whole) == history_of(stopped)
    first, second = (export_of(spec) / "model.safetensors" for spec in (whole, stopped))
    assert first.read_bytes() == second.read_bytes()
    assert [record["step"] for record in history_of(whole) if "loss" in record] == [1, 2, 3, 4, 5]


def test_speech_that_is_gone_is_lost_and_not_an_accident(tmp_path: Path) -> None:
    spec = _open_run(tmp_path)
    storage_of(spec).delete(keys.data_prefix(spec, "el") + "train/manifest.json")
    with pytest.raises(Lost, match=r"train/manifest\.json is not in storage"):
        schedule.scheduled(stage_context(spec, tmp_path / "scratch"))
    storage_of(spec).delete(keys.model_prefix(spec) + "config.json")
    with pytest.raises(Lost):
        schedule.scheduled(stage_context(spec, tmp_path / "scratch"))


def test_the_card_tells_the_steps_that_were_done(tmp_path: Path) -> None:
    spec = make_run(tmp_path, **OPEN)
    train.run(stage_context(spec, tmp_path / "scratch"))
    card = (export_of(spec) / "README.md").read_text()
    assert "- Steps: 5, " in card
    assert "- Peak learning rate: 3.75e-05, 1 warm-up steps" in card
    assert json.loads((export_of(spec) / "training.json").read_text())["steps"] == 5


def test_a_run_that_diverges_is_told_the_usual_rate_of_its_models_size(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__learning_rate=0.05)
    context = stage_context(spec, tmp_path / "scratch")
    trainer = Trainer(context, set_up(context))
    for step in range(1, 5):
        assert not trainer.health.accept(step, float("nan"), 1.0)
    with pytest.raises(Diverged) as caught:
        trainer.health.accept(5, float("nan"), 1.0)
    assert "--learning-rate 3.75e-05" in caught.value.hint
