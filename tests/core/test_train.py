"""The train stage, whole: what it drops, skips, exports, and how it ends."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path

import pytest
import safetensors.torch
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from jobrunner.core import train
from jobrunner.core.checkpoint.train_state import TrainState
from jobrunner.core.data.dataset import Dataset
from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training import feed as feeds
from jobrunner.core.training.optimiser import learning_rate, make_optimiser
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.core.training.validation import Validation
from jobrunner.scoring.rates import Scores, score
from jobrunner.spec import RunSpec, TrainSpec, names
from tests.harness.fragile import FragileStorage
from tests.harness.stored import committed, export_of, history_of, storage_of
from tests.harness.tiny import make_context, make_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    root = tmp_path_factory.mktemp("finished")
    spec = make_run(root)
    train.run(make_context(spec, root / "scratch"))
    return spec


def test_the_export_is_an_ordinary_hugging_face_folder(finished: RunSpec) -> None:
    folder = export_of(finished)
    model = WhisperForConditionalGeneration.from_pretrained(folder)
    processor = WhisperProcessor.from_pretrained(folder)
    generation = model.generation_config
    assert (generation.language, generation.task) == ("el", "transcribe")
    assert generation.forced_decoder_ids is None
    # Options that were for training alone are as in the base model.
    assert (model.config.dropout, model.config.apply_spec_augment) == (0.0, False)
    assert processor.feature_extractor.chunk_length == 2
    assert not list(folder.glob("*.bin"))
    training = json.loads((folder / "training.json").read_text())
    assert training["steps"] == 6
    assert training["dropped_clips"] == {"over_window": 0, "over_tokens": 0}
    assert training["last_loss"] < training["first_loss"]
    assert (folder / "README.md").read_text().startswith("---\nlanguage: el")


def test_the_history_has_each_step_and_each_validation(finished: RunSpec) -> None:
    records = history_of(finished)
    assert [record["step"] for record in records if "loss" in record] == [1, 2, 3, 4, 5, 6]
    assert [record["step"] for record in records if "wer" in record] == [2, 4, 6]
    assert all(math.isfinite(record.get("loss", 0.0)) for record in records)


def test_a_finished_stage_that_is_started_again_does_nothing(
    finished: RunSpec, tmp_path: Path
) -> None:
    storage = FragileStorage(storage_of(finished))
    context = make_context(finished, tmp_path, storage=storage)
    train.run(context)
    assert storage.operations == 1
    assert context.progress.now.done == 1.0


def test_batches_are_bit_equal_for_any_number_of_workers(
    finished: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for workers in (0, 1, 2):
        monkeypatch.setattr(feeds, "worker_count", lambda asked, workers=workers: workers)
        setup = set_up(make_context(finished, tmp_path))
        steps = islice(setup.feed.steps(0, 1), 5)
        seen.append([(step, [batch for _, batch in micro]) for step, micro in steps])
    for other in seen[1:]:
        for (step, batches), (same, others) in zip(seen[0], other, strict=True):
            assert step == same
            for one, two in zip(batches, others, strict=True):
                assert torch.equal(one.features, two.features)
                assert torch.equal(one.labels, two.labels)


def test_memory_of_the_device_changes_no_result(tmp_path: Path) -> None:
    losses = []
    for name, seconds in (("one", 2.0), ("four", 8.0)):
        spec = make_run(
            tmp_path / name,
            train__dropout=0.0,
            train__spec_augment=False,
            resources__device_seconds=seconds,
        )
        train.run(make_context(spec, tmp_path / name / "scratch"))
        losses.append([record["loss"] for record in history_of(spec) if "loss" in record])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_clips_that_do_not_fit_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    monkeypatch.setattr(Whisper, "max_label_tokens", property(lambda self: 24))
    monkeypatch.setattr(Whisper, "window_seconds", property(lambda self: 1.0))
    setup = set_up(make_context(spec, tmp_path / "scratch"))
    clips = setup.dataset.utterances("train")
    long = [clip for clip in clips if clip.seconds > 1.0]
    wordy = [clip for clip in clips if clip not in long and len(clip.text.encode()) > 20]
    assert setup.dropped.over_window == len(long) > 0
    assert setup.dropped.over_tokens == len(wordy) > 0
    [step] = islice(setup.feed.order.steps(0, 0), 1)
    assert len(setup.feed.order.epoch(0)) >= 1
    assert step.tokens <= 24 * len(step.windows)


def scores_of(rate: float) -> Scores:
    said = ["ναι"] * 10
    return score(said, ["όχι" if n < 10 * rate else "ναι" for n in range(10)])


def test_the_best_model_is_exported_and_patience_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path, train__patience=2, train__steps=20)
    rates = iter([0.9, 0.3, 0.5, 0.4])
    weights = {}

    def measuring(validation: Validation) -> Scores:
        rate = next(rates)
        model = validation._setup.whisper.model
        weights[rate] = {name: p.detach().clone() for name, p in model.named_parameters()}
        return scores_of(rate)

    monkeypatch.setattr(Validation, "measure", measuring)
    context = make_context(spec, tmp_path / "scratch")
    train.run(context)
    training = json.loads((export_of(spec) / "training.json").read_text())
    assert (training["steps"], training["exported_step"]) == (8, 4)
    assert training["stopped_early"]
    held = safetensors.torch.load_file(export_of(spec) / "model.safetensors")
    for name, tensor in held.items():
        assert torch.equal(tensor, weights[0.3][name])
    assert committed(spec) == [8, 6, 4]
    assert context.progress.now.best_wer == 0.3


def test_a_best_model_that_was_damaged_gives_way_to_the_last_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    rates = iter([0.3, 0.9, 0.9])
    monkeypatch.setattr(Validation, "measure", lambda self: scores_of(next(rates)))
    finish = Trainer.finish

    def damaging(trainer: Trainer) -> None:
        trainer.saver.wait()
        entries = storage_of(spec).list(names.checkpoint_prefix(names.run_id(spec), 2))
        for entry in entries:
            if entry.key.endswith("model.safetensors"):
                storage_of(spec).write(entry.key, b"damaged")
        finish(trainer)

    monkeypatch.setattr(Trainer, "finish", damaging)
    context = make_context(spec, tmp_path / "scratch")
    train.run(context)
    lines: list[str] = context.log.__self__  # type: ignore[attr-defined]
    assert any("The last model is exported instead." in line for line in lines)
    assert json.loads((export_of(spec) / "training.json").read_text())["exported_step"] == 6


def test_a_frozen_encoder_stays_as_it_was(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__freeze_encoder=True, train__steps=2)
    train.run(make_context(spec, tmp_path / "scratch"))
    base = safetensors.torch.load_file(tmp_path / "tiny" / "model.safetensors")
    tuned = safetensors.torch.load_file(export_of(spec) / "model.safetensors")
    assert base.keys() == tuned.keys()
    changed = {name for name in base if not torch.equal(base[name], tuned[name])}
    assert changed
    assert not any(name.startswith("model.encoder") for name in changed)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    options = TrainSpec(steps=10, warmup_steps=4, learning_rate=8.0)
    rates = [learning_rate(options, step) for step in range(1, 11)]
    assert rates == pytest.approx([2, 4, 6, 8, 8, 8 * 5 / 6, 8 * 4 / 6, 4, 8 * 2 / 6, 8 / 6])
    flat = TrainSpec(steps=4, warmup_steps=0, learning_rate=8.0)
    assert [learning_rate(flat, step) for step in range(1, 5)] == [8, 6, 4, 2]


def test_norms_and_biases_do_not_decay(finished: RunSpec, tmp_path: Path) -> None:
    model = whisper.load(
        export_of(finished), finished, "cpu", torch.float32, train=finished.train
    ).model
    options = finished.train.model_copy(update={"weight_decay": 0.1})
    decaying, plain = make_optimiser(model, options).param_groups
    assert (decaying["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim > 1 for parameter in decaying["params"])
    names_ = {id(p): name for name, p in model.named_parameters()}
    assert all(
        names_[id(p)].endswith("bias") or "layer_norm" in names_[id(p)] for p in plain["params"]
    )


def test_the_loop_state_goes_through_json_unchanged() -> None:
    state = TrainState(step=3, audio_seconds=0.1 + 0.2, wer=1 / 3, history=[{"loss": 1e-17}])
    assert TrainState.from_json(*state.to_json()) == state


def test_validation_uses_the_same_clips_on_each_attempt(finished: RunSpec, tmp_path: Path) -> None:
    clips = []
    for _ in range(2):
        context = make_context(finished, tmp_path)
        clips.append(Validation(context, set_up(context))._clips)
    assert clips[0] == clips[1]
    assert len(clips[0]) == 3
    data = names.data_prefix(finished, finished.lang)
    whole = Dataset.open(storage_of(finished), data, tmp_path).utterances("validation")
    assert set(clips[0]) < set(whole)
