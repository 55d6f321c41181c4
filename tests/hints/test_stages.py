"""A stage that cannot start, train or measure, and ends well once its hint was followed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.core import evaluate, train
from jobrunner.core.__main__ import stage_context as context_of_stage
from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.devices import choose_device
from jobrunner.core.models import whisper
from jobrunner.core.training import content, setup
from jobrunner.core.training.health import Health
from jobrunner.core.training.validation import Validation
from jobrunner.errors import (
    CheckpointError,
    DataError,
    DeviceError,
    Diverged,
    Interrupted,
    Lost,
    StorageError,
    StorageFull,
    UsageError,
    full_disk,
)
from jobrunner.scoring import rates
from jobrunner.spec import keys
from jobrunner.spec.record import write_record
from jobrunner.spec.train import TrainSpec
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.builders import LoggedContext, run_id, stage_context
from tests.core.test___main__ import _sigterm, record, use
from tests.core.test_evaluate import context, key_of, models, result_of
from tests.core.test_train import stop_after
from tests.harness.fragile import FragileStorage
from tests.harness.hints import assert_hint, hinted
from tests.harness.newer import UNKNOWN, newer_text
from tests.harness.stored import committed, export_of, storage_of
from tests.harness.tiny import LANGUAGES, make_run, make_whisper, narrowed

__all__ = ["_sigterm", "context", "models", "record", "use"]

Use = Callable[..., Path]


def test_a_stage_whose_record_is_named(
    use: Use, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = use(write_record(record))
    monkeypatch.delenv("JOBRUNNER_SPEC")
    with hinted("It names the file with the spec.", UsageError):
        context_of_stage()
    monkeypatch.setenv("JOBRUNNER_SPEC", str(file))
    assert context_of_stage().record == record


def test_a_stage_with_a_folder_for_scratch(use: Use, record: Any, tmp_path: Path) -> None:
    use(write_record(record), SCRATCH=str(tmp_path / "run.json" / "deeper"))
    with hinted("Set it to a folder that can be written.", UsageError):
        context_of_stage()
    use(write_record(record), SCRATCH=str(tmp_path / "scratch"))
    assert context_of_stage().scratch.is_dir()


def test_a_stage_in_an_image_of_the_clients_version(use: Use, record: Any) -> None:
    use(newer_text(record, UNKNOWN), RUN=record.run)
    hint = "Name an image of the client's version with cluster.image, and submit the run again."
    with hinted(hint, UsageError):
        context_of_stage()
    # An image of the same version reads what the client of that version wrote.
    use(write_record(record), RUN=record.run)
    assert context_of_stage().run == record.run


def test_a_stage_of_the_run_that_was_submitted_again(use: Use, record: Any) -> None:
    use(write_record(record), RUN="el-whisper-tiny-00000000")
    hint = "Submit the run again; nobody but jobrunner should write its ConfigMap."
    with hinted(hint, UsageError):
        context_of_stage()
    use(write_record(record), RUN=record.run)
    assert context_of_stage().run == record.run


def test_a_gpu_that_is_visible_or_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = builders.spec(resources__device="cuda", resources__gpus=2).resources
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with hinted("Check the driver and the GPU request, or run with --device cpu.", DeviceError):
        choose_device(asked)
    assert choose_device(builders.spec(resources__device="cpu").resources).type == "cpu"
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(asked).type == "cuda"


def test_as_many_gpus_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The devices are invented; what comes after the check needs real ones, and stands still."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(setup, "choose_precision", lambda *asked: "fp32")
    monkeypatch.setattr(setup, "Accelerator", lambda **given: given)
    with hinted("Submit it with --gpus {}; it continues where it stopped.", DeviceError):
        setup.make_accelerator(builders.spec(resources__gpus=2).resources)
    fewer = builders.spec(resources__gpus=1)
    assert setup.make_accelerator(fewer.resources)
    assert run_id(fewer) == run_id(builders.spec(resources__gpus=2))


def test_checkpoints_that_a_backup_has(tmp_path: Path) -> None:
    """The other way, --again, is gone in tests/core/test_train.py."""
    spec = make_run(tmp_path, again=3)
    train.run(stage_context(spec, tmp_path / "scratch"))
    storage, lost = storage_of(spec), {}
    for prefix in (keys.checkpoints_prefix(run_id(spec)), keys.export_prefix(run_id(spec))):
        for entry in storage.list(prefix):
            if entry.key.endswith("model.safetensors"):
                lost[entry.key] = storage.read(entry.key)
                storage.delete(entry.key)
    with hinted(
        "To start over, submit it with --again {}. Or restore {} from a backup and submit the run "
        "as before.",
        CheckpointError,
    ):
        train.run(stage_context(spec, tmp_path / "scratch"))
    for key, data in lost.items():
        storage.write(key, data)
    train.run(stage_context(spec, tmp_path / "scratch"))
    assert export_of(spec).is_dir()


def test_a_checkpoint_that_does_not_fit_is_left_by_starting_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    context = stage_context(spec, tmp_path / "scratch")
    with monkeypatch.context() as patch:
        stop_after(patch, context, 3)
        with hinted("Submit the run again; it continues from its last checkpoint.", Interrupted):
            train.run(context)

    def other(setup: Any, weights: Any) -> None:
        raise KeyError("model.proj")

    with monkeypatch.context() as patch:
        patch.setattr(content, "load_weights", other)
        with hinted("To start over, submit it with --again {}.", CheckpointError):
            train.run(stage_context(spec, tmp_path / "scratch"))
    again = make_run(tmp_path, again=1)
    train.run(stage_context(again, tmp_path / "scratch"))
    assert export_of(again).is_dir()
    # What the first of the two hints says.
    train.run(resumed := stage_context(spec, tmp_path / "scratch"))
    assert "continuing from the checkpoint of step 3" in resumed.lines
    assert committed(spec)[0] == 6


def test_recordings_cut_into_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of a model whose window is as short as half a second are all too long."""
    spec = make_run(tmp_path)
    with monkeypatch.context() as patch:
        narrowed(patch, positions=5)
        with hinted("Cut the recordings into sentences.", DataError):
            train.run(stage_context(spec, tmp_path / "scratch"))
    train.run(stage_context(spec, tmp_path / "scratch"))
    assert export_of(spec).is_dir()


def test_a_validation_with_transcripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_run(tmp_path)
    whole = Dataset.utterances

    def bare(dataset: Dataset, split: str) -> list[Utterance]:
        return [replace(utterance, text="... !") for utterance in whole(dataset, split)]

    context = stage_context(spec, tmp_path / "scratch")
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "utterances", bare)
        with hinted("Check the transcript column of the validation split.", DataError):
            Validation(context, setup.set_up(context))
    Validation(context, setup.set_up(context))


def test_a_test_with_transcripts() -> None:
    with hinted("Check the transcript column of the test split.", DataError):
        rates.score(["...", ""], ["ναι", "όχι"])
    assert rates.score(["ναι", "όχι"], ["ναι", "όχι"]).utterances == 2


def _descend(rate: float, usual: float) -> None:
    """Minimises 1000 x² with a health that watches; 0.001 is the largest rate that converges."""
    spec = TrainSpec(learning_rate=rate, warmup_steps=0)
    health, place = Health(spec, usual=usual), 1.0
    for step in range(1, 400):
        loss = 1000 * place**2
        health.accept(step, loss if loss < 1e300 else math.inf, 1.0)
        place -= rate * 2000 * place if abs(place) < 1e150 else 0.0


def test_a_rate_that_does_not_diverge() -> None:
    with pytest.raises(Diverged) as caught:
        _descend(2e-3, usual=1.25e-5)
    hint = "The learning rate is {}; try the model's usual one, --learning-rate {}."
    assert_hint(hint, caught.value.hint)
    _descend(float(caught.value.hint.split()[-1].rstrip(".")), usual=1.25e-5)
    with pytest.raises(Diverged) as caught:
        _descend(2e-3, usual=2e-3)
    assert_hint("The learning rate is {}; try {} with --learning-rate.", caught.value.hint)
    _descend(float(caught.value.hint.split()[6]), usual=2e-3)


def test_a_model_with_a_token_for_the_language(tmp_path: Path) -> None:
    spec = builders.spec(model="./tiny")
    small = whisper.load(make_whisper(tmp_path / "small"), spec, "cpu", torch.float32).recipe
    with hinted("whisper-large-v3 and whisper-turbo have one.", UsageError):
        small.head("yue", "transcribe")
    with hinted("`jobrunner languages` shows which languages Whisper knows.", UsageError):
        small.head("sw", "transcribe")
    more = make_whisper(tmp_path / "large", languages=(*LANGUAGES, "yue", "sw"))
    large = whisper.load(more, spec, "cpu", torch.float32).recipe
    assert large.head("yue", "transcribe")
    assert large.head("sw", "transcribe")


def test_a_result_that_cannot_be_read_is_deleted_and_measured(context: LoggedContext) -> None:
    evaluate.run(context, language="el")
    key = key_of(context, "base")
    context.storage.write(key, b"{")
    with hinted(
        "Delete it, and `jobrunner delete {}`; submitted again, that run measures only what is "
        "missing.",
        StorageError,
    ):
        result_of(context, "base")
    context.storage.delete(key)
    evaluate.run(context, language="el")
    assert result_of(context, "base").scores.utterances == 4
    assert sum("measured before" in line for line in context.lines) == 1


def test_a_full_disk_with_room_again(tmp_path: Path) -> None:
    spec = make_run(tmp_path)
    found = full_disk(OSError(28, "No space left on device"), "to write it")
    assert isinstance(found, StorageFull)
    full: StorageFull = found
    hint = "Free some space and submit the run again; it continues where it stopped."

    class FillingStorage(FragileStorage):
        def write_file(self, key: str, path: Path) -> None:
            if "step-00000004" in key:
                raise full
            super().write_file(key, path)

    context = stage_context(spec, tmp_path / "scratch", storage=FillingStorage(storage_of(spec)))
    with hinted("Free some space and submit the run again; it continues where it stopped."):
        train.run(context)
    assert full.hint == hint
    train.run(again := stage_context(spec, tmp_path / "scratch"))
    assert "continuing from the checkpoint of step 2" in again.lines


def test_a_part_that_was_lost_is_made_again(tmp_path: Path) -> None:
    spec = make_run(tmp_path)
    train.run(stage_context(spec, tmp_path / "scratch"))
    storage, prefix = storage_of(spec), keys.export_prefix(run_id(spec))
    shutil.rmtree(tmp_path / "fetched", ignore_errors=True)
    path = export_of(spec) / "model.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    with hinted("Submit the run again; the missing part is then made again.", Lost):
        folders.fetch(storage, prefix, tmp_path / "fetched")
    train.run(stage_context(spec, tmp_path / "scratch"))
    folders.fetch(storage, prefix, tmp_path / "fetched")


def test_a_damaged_file_that_a_person_deletes(tmp_path: Path) -> None:
    spec = make_run(tmp_path)
    train.run(stage_context(spec, tmp_path / "scratch"))
    prefix = keys.export_prefix(run_id(spec))

    class ReadOnly(LocalStorage):
        def delete(self, key: str) -> None:
            raise StorageError("Access is denied.")

    path = export_of(spec) / "model.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    with hinted("Delete it from storage ({}), then submit the run again.", Lost):
        folders.fetch(ReadOnly(Path(spec.storage)), prefix, tmp_path)
    path.unlink()
    train.run(stage_context(spec, tmp_path / "scratch"))
    folders.fetch(storage_of(spec), prefix, tmp_path)
