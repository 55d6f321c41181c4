"""The rate of learning at each step, what decays, and a training compared with plain torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from jobrunner.core import train
from jobrunner.core.models import whisper
from jobrunner.core.training import setup as setups
from jobrunner.core.training.optimiser import learning_rate, make_optimiser
from jobrunner.core.training.step import gradient
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import RunSpec, TrainSpec
from tests.builders import stage_context
from tests.harness.stored import export_of
from tests.harness.tiny import make_run

# Warm-up over 2 of 5 steps to 0.05, then down to nothing: written out, not computed by our code.
RATES = (0.025, 0.05, 0.05, 0.05 * 2 / 3, 0.05 / 3)


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


def _by_plain_torch(module: Any, steps: Sequence[Sequence[Any]], largest_norm: float) -> bool:
    """Trains a Whisper of transformers with SGD, by hand; True if a gradient was clipped."""
    parameters = list(module.parameters())
    clipped = False
    for batches, rate in zip(steps, RATES, strict=True):
        losses, tokens = [], 0
        for batch in batches:
            logits = module(
                input_features=batch.features, decoder_input_ids=batch.inputs, use_cache=False
            ).logits
            labels = batch.labels.flatten()
            losses.append(functional.cross_entropy(logits.flatten(0, 1), labels, reduction="sum"))
            tokens += int((labels != -100).sum())
        used = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = torch.autograd.grad(torch.stack(losses).sum() / tokens, used, allow_unused=True)
        norm = sum(float((g**2).sum()) for g in gradients if g is not None) ** 0.5
        clipped |= norm > largest_norm
        with torch.no_grad():
            for parameter, g in zip(used, gradients, strict=True):
                if g is not None:
                    parameter -= rate * min(1.0, largest_norm / norm) * g
    return clipped


@pytest.mark.parametrize(("device_seconds", "micro_batches"), [(12.0, 1), (4.0, 2), (2.0, 4)])
@pytest.mark.parametrize("largest_norm", [1e6, 0.5], ids=["free", "clipped"])
def test_five_steps_are_those_of_plain_torch_whatever_accumulates(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device_seconds: float,
    micro_batches: int,
    largest_norm: float,
) -> None:
    # SGD shows the scale of a gradient and the rate of each step, which Adam would hide.
    monkeypatch.setattr(
        setups,
        "make_optimiser",
        lambda groups, options: torch.optim.SGD(
            [{"params": list(group.parameters.values())} for group in groups], lr=1e9
        ),
    )
    spec = make_run(
        tmp_path,
        train__steps=5,
        train__warmup_steps=2,
        train__learning_rate=0.05,
        train__max_grad_norm=largest_norm,
        train__dropout=0.0,
        train__spec_augment=False,
        # Whole windows, so that one micro-batch can hold a step.
        train__pack_probability=1.0,
        train__batch_seconds=7.0,
        resources__device_seconds=device_seconds,
    )
    steps: list[list[Any]] = []
    accumulate = gradient.accumulate

    def seeing(setup: Any, step: Any, given: Iterator[Any], *more: Any) -> Any:
        pairs = list(given)
        steps.append([batch for _, batch in pairs])
        return accumulate(setup, step, iter(pairs), *more)

    monkeypatch.setattr(gradient, "accumulate", seeing)
    context = stage_context(spec, tmp_path / "scratch")
    ready = setups.set_up(context)
    by_hand = copy.deepcopy(ready.model.module).train()
    trainer = Trainer(context, ready)
    try:
        train.train(trainer)
    finally:
        trainer.close()
    start = {name: weights.clone() for name, weights in by_hand.state_dict().items()}
    assert _by_plain_torch(by_hand, steps, largest_norm) == (largest_norm < 1)
    assert max(map(len, steps)) == micro_batches
    ours = ready.model.module.state_dict()
    moved = 0.0
    for name, weights in by_hand.state_dict().items():
        torch.testing.assert_close(ours[name], weights, rtol=1e-4, atol=1e-6)
        moved = max(moved, float((weights - start[name]).abs().max()))
    assert moved > 1e-3
