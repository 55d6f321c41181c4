"""The rate of learning at each step, and what decays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jobrunner.core.models import whisper
from jobrunner.core.training.optimiser import learning_rate, make_optimiser
from jobrunner.spec import RunSpec, TrainSpec
from tests.harness.stored import export_of


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    options = TrainSpec(steps=10, warmup_steps=4, learning_rate=0.08)
    rates = [learning_rate(options, step) for step in range(1, 11)]
    assert rates == pytest.approx(
        [0.02, 0.04, 0.06, 0.08, 0.08, 0.08 * 5 / 6, 0.08 * 4 / 6, 0.04, 0.08 * 2 / 6, 0.08 / 6]
    )
    flat = TrainSpec(steps=4, warmup_steps=0, learning_rate=0.08)
    assert [learning_rate(flat, step) for step in range(1, 5)] == pytest.approx(
        [0.08, 0.06, 0.04, 0.02]
    )


def test_norms_and_biases_do_not_decay(finished: RunSpec, tmp_path: Path) -> None:
    model = whisper.load(export_of(finished), finished, "cpu", torch.float32, train=finished.train)
    options = finished.train.model_copy(update={"weight_decay": 0.1})
    decaying, plain = make_optimiser(model.groups(), options).param_groups
    assert (decaying["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim > 1 for parameter in decaying["params"])
    names_ = {id(p): name for name, p in model.module.named_parameters()}
    assert len(decaying["params"]) + len(plain["params"]) == len(names_)
    assert all(
        names_[id(p)].endswith("bias") or "layer_norm" in names_[id(p)] for p in plain["params"]
    )
