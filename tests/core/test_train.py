"""The train stage, whole: what it drops, skips, exports, and how it ends."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from jobrunner.core import train
from jobrunner.core.models.base import Hypothesis
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.models.whisper_decode import Heard
from jobrunner.core.training.trainer import Trainer
from jobrunner.core.training.validation import Measured, Validation
from jobrunner.errors import (
    CheckpointError,
    DataError,
    DeviceError,
    Interrupted,
    JobrunnerError,
    StorageFull,
)
from jobrunner.scoring.metrics import METRICS
from jobrunner.spec import RunSpec, keys
from tests.builders import run_id, stage_context
from tests.harness.fragile import FragileStorage
from tests.harness.stored import committed, export_of, history_of, storage_of
from tests.harness.tiny import make_run, narrowed


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
    validations = [record for record in records if "wer" in record]
    assert [record["step"] for record in validations] == [2, 4, 6]
    assert all(record["metric"] == "wer" for record in validations)
    assert all(record["rate"] == record["wer"] for record in validations)
    assert all(math.isfinite(record.get("loss", 0.0)) for record in records)


def test_a_finished_stage_that_is_started_again_does_nothing(
    finished: RunSpec, tmp_path: Path
) -> None:
    storage = FragileStorage(storage_of(finished))
    context = stage_context(finished, tmp_path, storage=storage)
    train.run(context)
    assert storage.operations == 2  # the export's manifest, and one listing
    assert context.progress.now.done == 1.0


def test_memory_of_the_device_changes_no_result(tmp_path: Path) -> None:
    losses = []
    for name, seconds in (("one", 2.0), ("four", 8.0)):
        spec = make_run(
            tmp_path / name,
            train__dropout=0.0,
            train__spec_augment=False,
            resources__device_seconds=seconds,
        )
        train.run(stage_context(spec, tmp_path / name / "scratch"))
        losses.append([record["loss"] for record in history_of(spec) if "loss" in record])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def measured(rate: float) -> Measured:
    return Measured(metric=METRICS["wer"], value=rate, others={"wer": rate})


def test_the_best_model_is_exported_and_patience_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path, train__patience=2, train__steps=20)
    rates = iter([0.9, 0.3, 0.5, 0.4])
    weights = {}

    def measuring(validation: Validation) -> Measured:
        rate = next(rates)
        model = validation._setup.model.module
        weights[rate] = {name: p.detach().clone() for name, p in model.named_parameters()}
        return measured(rate)

    monkeypatch.setattr(Validation, "measure", measuring)
    context = stage_context(spec, tmp_path / "scratch")
    train.run(context)
    training = json.loads((export_of(spec) / "training.json").read_text())
    assert (training["steps"], training["exported_step"]) == (8, 4)
    assert training["stopped_early"]
    held = safetensors.torch.load_file(export_of(spec) / "model.safetensors")
    for name, tensor in held.items():
        assert torch.equal(tensor, weights[0.3][name])
    # The last and the best: with them the export can be made again.
    assert committed(spec) == [8, 4]
    assert context.progress.now.best_rate == 0.3
    assert context.progress.now.metric == "wer"


def test_a_best_model_that_was_damaged_gives_way_to_the_last_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    rates = iter([0.3, 0.9, 0.9])
    monkeypatch.setattr(Validation, "measure", lambda self: measured(next(rates)))
    finish = Trainer.finish

    def damaging(trainer: Trainer) -> None:
        trainer.saver.wait()
        entries = storage_of(spec).list(keys.checkpoint_prefix(run_id(spec), 2))
        for entry in entries:
            if entry.key.endswith("model.safetensors"):
                storage_of(spec).write(entry.key, b"damaged")
        finish(trainer)

    monkeypatch.setattr(Trainer, "finish", damaging)
    context = stage_context(spec, tmp_path / "scratch")
    train.run(context)
    assert any("The last model is exported instead." in line for line in context.lines)
    assert json.loads((export_of(spec) / "training.json").read_text())["exported_step"] == 6


def test_a_frozen_encoder_stays_as_it_was(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__freeze_encoder=True, train__steps=2)
    train.run(stage_context(spec, tmp_path / "scratch"))
    base = safetensors.torch.load_file(tmp_path / "tiny" / "model.safetensors")
    tuned = safetensors.torch.load_file(export_of(spec) / "model.safetensors")
    assert base.keys() == tuned.keys()
    changed = {name for name in base if not torch.equal(base[name], tuned[name])}
    assert changed
    assert not any(name.startswith("model.encoder") for name in changed)


def test_a_split_without_a_clip_that_fits_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    narrowed(monkeypatch, positions=5)
    with pytest.raises(DataError, match="None of 24 training clips can be used: 0 over the window"):
        train.run(stage_context(spec, tmp_path / "scratch"))


def test_a_damaged_clip_ends_the_stage_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    path = storage_of(spec).path(keys.data_prefix(spec, "el") + "train/00000.flacs")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(JobrunnerError) as caught:
        train.run(stage_context(spec, tmp_path / "scratch"))
    assert "is damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sigterm_saves_and_ends_with_143(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_run(tmp_path)
    context = stage_context(spec, tmp_path / "scratch")
    stop_after(monkeypatch, context, 3)
    with pytest.raises(Interrupted, match="Stopped after step 3 of 6") as caught:
        train.run(context)
    assert caught.value.exit_code == 143
    assert committed(spec)[0] == 3


def test_sigterm_with_too_little_time_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    context = stage_context(spec, tmp_path / "scratch", grace_seconds=4.0)
    stop_after(monkeypatch, context, 3)
    save = Trainer.save

    def saving(trainer: Trainer) -> None:
        save(trainer)
        trainer.saver.wait()

    monkeypatch.setattr(Trainer, "save", saving)
    with pytest.raises(Interrupted):
        train.run(context)
    assert committed(spec) == [2]
    assert "too little time is left to save once more" in context.lines


def test_sigterm_in_a_validation_saves_and_the_next_attempt_validates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path, evaluate__batch_size=1)
    context = stage_context(spec, tmp_path / "scratch")
    decode, calls = Whisper.decode, []

    def decoding(self: Whisper, heard: Heard) -> list[Hypothesis]:
        context.stop.requested_at = time.monotonic()
        calls.append(len(heard))
        return decode(self, heard)

    with monkeypatch.context() as patch:
        patch.setattr(Whisper, "decode", decoding)
        with pytest.raises(Interrupted):
            train.run(context)
    assert calls == [1]
    assert committed(spec) == [2]
    train.run(stage_context(spec, tmp_path / "scratch"))
    assert [record["step"] for record in history_of(spec) if "wer" in record] == [2, 4, 6]


def stop_after(patch: pytest.MonkeyPatch, context: Any, step: int) -> None:
    advance = Trainer._advance

    def advancing(trainer: Trainer, *arguments: Any) -> None:
        advance(trainer, *arguments)
        if trainer.state.step == step:
            context.stop.requested_at = time.monotonic()

    patch.setattr(Trainer, "_advance", advancing)


def test_a_full_storage_ends_the_stage_and_nothing_is_lost(tmp_path: Path) -> None:
    spec = make_run(tmp_path)

    class FillingStorage(FragileStorage):
        def write_file(self, key: str, path: Path) -> None:
            if "step-00000004" in key:
                raise StorageFull("No room left to write it.")
            super().write_file(key, path)

    context = stage_context(spec, tmp_path / "scratch", storage=FillingStorage(storage_of(spec)))
    with pytest.raises(StorageFull) as caught:
        train.run(context)
    assert caught.value.exit_code == 3
    assert committed(spec) == [2]
    train.run(stage_context(spec, tmp_path / "scratch"))
    assert len([record for record in history_of(spec) if "loss" in record]) == 6


def test_a_run_that_asked_for_a_gpu_and_sees_none_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = make_run(tmp_path, resources__device="auto", resources__gpus=1)
    with pytest.raises(DeviceError, match="--device cpu"):
        train.run(stage_context(spec, tmp_path / "scratch"))


def test_who_starts_over_as_the_hint_says_has_another_run_that_ends_well(tmp_path: Path) -> None:
    spec = make_run(tmp_path, again=3)
    train.run(stage_context(spec, tmp_path / "scratch"))
    storage = storage_of(spec)
    for prefix in (keys.checkpoints_prefix(run_id(spec)), keys.export_prefix(run_id(spec))):
        for entry in storage.list(prefix):
            if entry.key.endswith("model.safetensors"):
                storage.delete(entry.key)
    with pytest.raises(
        CheckpointError, match=r"^The only checkpoint of \S+ does not verify\. "
    ) as caught:
        train.run(stage_context(spec, tmp_path / "scratch"))
    assert caught.value.hint.startswith("To start over, submit it with --again 4.")
    other = make_run(tmp_path, again=4)
    assert run_id(other) != run_id(spec)
    train.run(stage_context(other, tmp_path / "scratch"))
    assert export_of(other).is_dir()


def test_an_export_that_lost_a_file_is_made_again_from_the_last_checkpoint(tmp_path: Path) -> None:
    spec = make_run(tmp_path)
    train.run(first := stage_context(spec, tmp_path / "scratch"))
    path = export_of(spec) / "model.safetensors"
    before = path.read_bytes()
    path.unlink()
    train.run(context := stage_context(spec, tmp_path / "scratch"))
    assert path.read_bytes() == before
    assert "continuing from the checkpoint of step 6" in context.lines
    assert (was := first.progress.now).loss == context.progress.now.loss is not None
    assert was.rate == context.progress.now.rate
