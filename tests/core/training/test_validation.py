"""What is measured while a model trains."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jobrunner.core import train
from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.validation import Validation
from jobrunner.errors import DataError
from jobrunner.spec import RunSpec, keys
from tests.builders import stage_context
from tests.harness.stored import export_of, history_of, storage_of
from tests.harness.tiny import make_run


def test_validation_uses_the_same_clips_on_each_attempt(finished: RunSpec, tmp_path: Path) -> None:
    clips = []
    for _ in range(2):
        context = stage_context(finished, tmp_path)
        clips.append(Validation(context, set_up(context))._clips)
    assert clips[0] == clips[1]
    assert len(clips[0]) == 3
    data = keys.data_prefix(finished, finished.lang)
    dataset = Dataset.open(storage_of(finished), data, tmp_path, language="el")
    whole = dataset.utterances("validation")
    assert set(clips[0]) < set(whole)


def test_a_validation_without_any_text_is_refused_before_a_step(
    finished: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Dataset.utterances

    def bare(dataset: Dataset, split: str) -> list[Utterance]:
        return [replace(utterance, text="... !") for utterance in whole(dataset, split)]

    monkeypatch.setattr(Dataset, "utterances", bare)
    context = stage_context(finished, tmp_path)
    with pytest.raises(DataError, match="None of 3 utterances of the validation split has a ref"):
        Validation(context, set_up(context))
    monkeypatch.setattr(Whisper, "criterion", "loss")
    Validation(context, set_up(context))


def test_a_model_whose_texts_are_measured_gives_every_rate(
    finished: RunSpec, tmp_path: Path
) -> None:
    context = stage_context(finished, tmp_path)
    found = Validation(context, set_up(context)).measure()
    assert found is not None
    assert found.metric.name == "wer"
    assert found.others.keys() == {"wer", "cer", "validation_loss"}
    assert found.others["wer"] == found.value


@pytest.mark.parametrize("criterion", ["loss", "perplexity"])
def test_a_model_whose_loss_is_measured_is_not_decoded(
    finished: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, criterion: str
) -> None:
    monkeypatch.setattr(Whisper, "criterion", criterion)
    monkeypatch.delattr(Whisper, "decode")
    context = stage_context(finished, tmp_path)
    setup = set_up(context)
    validation = Validation(context, setup)
    found = validation.measure()
    assert found is not None
    assert setup.model.module.training
    setup.model.module.eval()
    total = weight = 0.0
    for clip in validation._clips:
        recipe = setup.model.recipe
        batch = recipe.collate([recipe.item([clip], [setup.dataset.audio(clip)])])
        with torch.no_grad():
            total += float(setup.model.loss(batch))
        weight += batch.weight
    mean = total / weight
    assert found.metric.name == criterion
    assert found.value == pytest.approx(mean if criterion == "loss" else math.exp(mean), rel=1e-4)
    assert found.others == {"validation_loss": pytest.approx(mean, rel=1e-4)}


def test_a_run_that_overfits_says_so_in_its_log_and_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([9.0, 1.0, 1.5, 2.0, 3.0])
    monkeypatch.setattr(Validation, "_unlearnt", lambda self, own: next(losses))
    spec = make_run(tmp_path, train__steps=8, train__learning_rate=1e-2)
    context = stage_context(spec, tmp_path / "scratch")
    train.run(context)
    assert context.progress.now.validation_loss == 3.0
    assert context.progress.now.concern == "overfitting since step 2"
    (line,) = [line for line in context.lines if line.startswith("overfitting: ")]
    assert "since step 2 the validation loss rose from 1.00 to 2.00 while the training " in line
    history = history_of(spec)
    assert history[0] == {"step": 0, "validation_loss": 9.0}
    assert [record["validation_loss"] for record in history if "metric" in record] == [1, 1.5, 2, 3]


def test_a_run_is_judged_by_the_metric_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Whisper, "criterion", "loss")
    spec = make_run(tmp_path, train__steps=4)
    context = stage_context(spec, tmp_path / "scratch")
    train.run(context)
    validations = [record for record in history_of(spec) if "metric" in record]
    assert [(each["step"], each["metric"]) for each in validations] == [(2, "loss"), (4, "loss")]
    assert context.progress.now.metric == "loss"
    assert context.progress.now.rate == validations[-1]["rate"]
    assert any("validation loss" in line for line in context.lines)
    training = json.loads((export_of(spec) / "training.json").read_text())
    assert training["validations"] == validations
    assert training["exported_step"] == min(validations, key=lambda each: each["rate"])["step"]
