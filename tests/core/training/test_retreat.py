"""What follows when training goes wrong: it ends, goes back, or continues."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.core import train
from jobrunner.core.data import audio
from jobrunner.core.data.sources.folder import FileAudio
from jobrunner.core.training.health import WORSE, Health
from jobrunner.core.training.step import gradient
from jobrunner.core.training.trainer import Trainer
from jobrunner.errors import PERMANENT_EXIT_CODES, Diverged
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.builders import stage_context
from tests.harness.fragile import KilledError
from tests.harness.paths import EXAMPLES, MICRO
from tests.harness.prepared import Clip, write_split
from tests.harness.stored import committed, export_of, history_of
from tests.harness.tiny import make_run


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with a few English clips, a language that the toy model knows, and the model."""
    root = tmp_path_factory.mktemp("english")
    spec = micro_run(root)
    storage = LocalStorage(root / "storage")
    folders.publish(storage, keys.model_prefix(spec), shutil.copytree(MICRO, root / "micro"))
    speech = EXAMPLES / "speech" / "en"
    with (speech / "metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    for split, number in (("train", 12), ("validation", 3)):
        chosen = [row for row in rows if row["split"] == split][:number]
        clips = (
            Clip(
                row["file_name"],
                audio.decode(FileAudio(str(speech / row["file_name"]))),
                row["sentence"],
            )
            for row in chosen
        )
        write_split(storage, keys.data_prefix(spec, "en"), split, clips)
    return root


def micro_run(root: Path, **changes: Any) -> RunSpec:
    """The toy model on English, validated every 10 steps."""
    values: dict[str, Any] = {
        "lang": "en",
        "model": str(root / "micro"),
        "storage": str(root / "storage"),
        "data__source": f"folder:{root / 'speech'}",
        "train__steps": 30,
        "train__warmup_steps": 5,
        "train__save_every": 10,
        "train__validate_every": 10,
        "train__batch_seconds": 4.0,
        "resources__device": "cpu",
        "resources__gpus": 0,
        "resources__workers": 1,
    }
    return builders.spec(**{**values, **changes})


def test_an_absurd_rate_ends_the_run_early_with_a_rate_to_try(
    english: Path, tmp_path: Path
) -> None:
    spec = micro_run(english, train__learning_rate=0.05)
    context = stage_context(spec, tmp_path)
    with pytest.raises(Diverged) as caught:
        train.run(context)
    assert caught.value.exit_code in PERMANENT_EXIT_CODES
    assert context.progress.now.step < 30
    assert caught.value.hint == (
        "The learning rate is 0.05; try the model's usual one, --learning-rate 3.75e-05."
    )


def test_the_same_rate_is_lowered_until_the_model_learns(english: Path, tmp_path: Path) -> None:
    spec = micro_run(english, train__learning_rate=1.5e-3, train__on_unhealthy="lower-lr")
    context = stage_context(spec, tmp_path)
    train.run(context)
    factors = [record for record in history_of(spec) if "rate_factor" in record]
    assert factors
    assert factors[-1]["rate_factor"] < 1.0
    rates = [record["learning_rate"] for record in history_of(spec) if "learning_rate" in record]
    assert max(rates) == pytest.approx(1.5e-3 * factors[-1]["rate_factor"])
    assert sum("Going back to" in line for line in context.lines) >= len(factors)
    losses = [each["validation_loss"] for each in history_of(spec) if "validation_loss" in each]
    assert losses[-1] < losses[0] + WORSE


def test_a_run_that_is_to_continue_says_so_and_ends_at_its_last_step(
    english: Path, tmp_path: Path
) -> None:
    spec = micro_run(english, train__learning_rate=0.05, train__on_unhealthy="continue")
    context = stage_context(spec, tmp_path)
    train.run(context)
    assert export_of(spec).is_dir()
    said = [line for line in context.lines if line.startswith("unhealthy, and continuing: ")]
    assert said
    assert context.progress.now.concern == "unhealthy"


def goes_wrong_at(patch: pytest.MonkeyPatch, *steps: int) -> None:
    """Training goes wrong at the first step, then with half the rate at the second, and so on."""

    def problem(health: Health, step: int, mean: float) -> str:
        wrong = health.lowered < len(steps) and step == steps[health.lowered]
        return "Training diverged." if wrong else ""

    patch.setattr("jobrunner.core.training.health.WINDOW", 1)
    patch.setattr(Health, "_loss_problem", problem)


def lowering_run(root: Path, **changes: Any) -> RunSpec:
    return make_run(root, train__steps=8, train__on_unhealthy="lower-lr", **changes)


def outcome(spec: RunSpec) -> tuple[Any, ...]:
    return history_of(spec), (export_of(spec) / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    root = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        goes_wrong_at(patch, 5, 7)
        spec = lowering_run(root)
        train.run(context := stage_context(spec, root / "scratch"))
    assert sum("Going back to" in line for line in context.lines) == 2
    return outcome(spec)


def test_it_goes_back_to_the_last_good_checkpoint_and_halves_the_rate_from_there(
    undisturbed: tuple[Any, ...],
) -> None:
    history, _ = undisturbed
    steps = [record["step"] for record in history if "loss" in record]
    assert steps == list(range(1, 9))
    (lowered,) = [record for record in history if "rate_factor" in record][-1:]
    assert lowered["rate_factor"] == 0.25
    assert lowered["step"] == 6
    after = [record for record in history if "loss" in record and record["step"] == 7]
    assert after[0]["learning_rate"] == pytest.approx(1e-3 * (8 - 7 + 1) / 7 / 4)


@pytest.mark.parametrize("at", [3, 5, 8])
def test_a_run_that_was_killed_before_or_after_it_went_back_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: tuple[Any, ...], at: int
) -> None:
    goes_wrong_at(monkeypatch, 5, 7)
    spec = lowering_run(tmp_path)
    advance, calls = Trainer._advance, iter(range(1, 100))

    def advancing(trainer: Trainer, *arguments: Any) -> None:
        if next(calls) == at:
            trainer.saver.wait()
            raise KilledError
        advance(trainer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_advance", advancing)
        with pytest.raises(KilledError):
            train.run(stage_context(spec, tmp_path / "scratch"))
    train.run(stage_context(spec, tmp_path / "scratch"))
    assert outcome(spec) == undisturbed


def test_before_a_checkpoint_it_goes_back_to_the_base_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_wrong_at(monkeypatch, 2)
    spec = lowering_run(tmp_path, train__save_minutes=1e-9)
    context = stage_context(spec, tmp_path / "scratch")
    train.run(context)
    assert any("Going back to the base model, with a l" in line for line in context.lines)
    assert history_of(spec)[0] == {"step": 0, "rate_factor": 0.5}
    assert committed(spec)[0] == 8


def test_a_rate_that_was_halved_three_times_is_not_the_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_wrong_at(monkeypatch, 3, 3, 3, 3)
    spec = lowering_run(tmp_path)
    with pytest.raises(Diverged, match="The rate was halved 3 times already") as caught:
        train.run(stage_context(spec, tmp_path / "scratch"))
    assert caught.value.exit_code == 70


def test_a_run_that_diverges_names_the_usual_rate_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path, train__steps=8)
    monkeypatch.setattr(gradient, "of_mean", lambda *_: (torch.tensor(math.nan), torch.tensor(1.0)))
    with pytest.raises(Diverged, match=r"usual one, --learning-rate 3\.75e-05\.") as caught:
        train.run(stage_context(spec, tmp_path / "scratch"))
    assert caught.value.exit_code in PERMANENT_EXIT_CODES
