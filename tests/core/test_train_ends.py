"""How the train stage ends early, and what it leaves: SIGTERM, a full storage, bad data."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.core import train
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.errors import DataError, Interrupted, JobrunnerError, StorageFull
from jobrunner.spec import names
from tests.harness.fragile import FragileStorage
from tests.harness.stored import committed, history_of, storage_of
from tests.harness.tiny import make_context, make_run


def test_a_split_without_a_clip_that_fits_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    monkeypatch.setattr(Whisper, "max_label_tokens", property(lambda self: 5))
    with pytest.raises(DataError, match="None of 24 training clips can be used: 0 over the window"):
        train.run(make_context(spec, tmp_path / "scratch"))


def test_a_damaged_clip_ends_the_stage_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    path = storage_of(spec).path(names.data_prefix(spec, "el") + "train/00000.flacs")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(JobrunnerError) as caught:
        train.run(make_context(spec, tmp_path / "scratch"))
    assert "is damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sigterm_saves_and_ends_with_143(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_run(tmp_path)
    context = make_context(spec, tmp_path / "scratch")
    stop_after(monkeypatch, context, 3)
    with pytest.raises(Interrupted, match="Stopped after step 3 of 6") as caught:
        train.run(context)
    assert caught.value.exit_code == 143
    assert committed(spec)[0] == 3


def test_sigterm_with_too_little_time_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    context = make_context(spec, tmp_path / "scratch")
    object.__setattr__(context, "grace_seconds", 4.0)
    stop_after(monkeypatch, context, 3)
    with pytest.raises(Interrupted):
        train.run(context)
    assert committed(spec) in ([2], [])
    assert "too little time is left to save once more" in context.log.__self__  # type: ignore[attr-defined]


def test_sigterm_in_a_validation_saves_and_the_next_attempt_validates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path, evaluate__batch_size=1)
    context = make_context(spec, tmp_path / "scratch")
    decode, calls = Whisper.decode, []

    def decoding(self: Whisper, features: torch.Tensor) -> list[str]:
        context.stop.requested_at = time.monotonic()
        calls.append(len(features))
        return decode(self, features)

    with monkeypatch.context() as patch:
        patch.setattr(Whisper, "decode", decoding)
        with pytest.raises(Interrupted):
            train.run(context)
    assert calls == [1]
    assert committed(spec) == [2]
    train.run(make_context(spec, tmp_path / "scratch"))
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

    context = make_context(spec, tmp_path / "scratch", storage=FillingStorage(storage_of(spec)))
    with pytest.raises(StorageFull) as caught:
        train.run(context)
    assert caught.value.exit_code == 3
    assert committed(spec) == [2]
    train.run(make_context(spec, tmp_path / "scratch"))
    assert len([record for record in history_of(spec) if "loss" in record]) == 6


def test_a_step_that_is_not_finite_changes_no_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    trainer = Trainer(
        make_context(spec, tmp_path / "s"), set_up(make_context(spec, tmp_path / "s"))
    )
    trainer.restore()
    trainer.step()
    before = [parameter.detach().clone() for parameter in trainer.setup.parameters]
    loss = Whisper.loss
    with monkeypatch.context() as patch:
        patch.setattr(Whisper, "loss", lambda *arguments: loss(*arguments) * math.nan)
        trainer.step()
    assert trainer.health.skipped == 1
    for parameter, old in zip(trainer.setup.parameters, before, strict=True):
        assert torch.equal(parameter, old)
    trainer.step()
    assert not torch.equal(trainer.setup.parameters[0], before[0])
    assert [record["loss"] is None for record in trainer.state.history] == [False, True, False]
