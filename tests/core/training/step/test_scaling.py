"""bf16 and fp16 on the CPU: their arithmetic, and a scale that loses no step."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from jobrunner.core import evaluate, train
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training.optimiser import seed_step
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.step import gradient
from jobrunner.core.training.trainer import Trainer
from jobrunner.core.training.validation import Measured, Validation
from jobrunner.scoring.metrics import METRICS
from jobrunner.scoring.result import Result
from jobrunner.spec import RunSpec, keys
from tests.builders import LoggedContext, run_id, stage_context
from tests.harness.stored import storage_of
from tests.harness.tiny import make_run

HUGE = 2.0**36


@pytest.fixture(autouse=True)
def _a_precision_of_its_own() -> Iterator[None]:
    """Accelerate keeps one precision for a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def _not_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding in fp16 takes a CPU ten times as long as in fp32."""
    measured = Measured(metric=METRICS["wer"], value=0.5)
    monkeypatch.setattr(Validation, "measure", lambda validation: measured)


def trainer_of(
    root: Path, precision: str, *, scale: float | None = None, **changes: Any
) -> tuple[Trainer, LoggedContext]:
    """A training of 3 steps in two micro-batches each, which is saved after each step."""
    values = {
        "train__steps": 3,
        "train__batch_seconds": 3.0,
        "train__save_every": 1,
        "train__validate_every": 1,
        "resources__device_seconds": 2.0,
        "resources__precision": precision,
    }
    spec = make_run(root, **{**values, **changes})
    context = stage_context(spec, root / "scratch")
    setup = set_up(context)
    if scale:
        setup.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return Trainer(context, setup), context


def first_loss(root: Path, precision: str) -> tuple[float, dict[str, torch.Tensor]]:
    """The mean loss of the first step, and the gradient."""
    trainer, _ = trainer_of(root, precision, train__dropout=0.0, train__spec_augment=False)
    setup = trainer.setup
    steps = setup.feed.steps(0, 0)
    step, micro_batches = next(steps)
    seed_step(0, 1, 0)
    total, weight = trainer.scaling.accumulate(1, step, micro_batches)
    loss, _ = gradient.of_mean(setup, step, total, weight, math.inf)
    steps.close()
    parameters = setup.trained.items()
    assert {p.dtype for _, p in parameters} == {torch.float32}
    AcceleratorState._reset_state(reset_partial_state=True)
    return float(loss), {name: p.grad for name, p in parameters if p.grad is not None}


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.01), ("fp16", 0.002)])
def test_half_precision_is_close_to_fp32_and_weights_and_gradients_stay_fp32(
    tmp_path: Path, precision: str, tolerance: float
) -> None:
    exact, wanted = first_loss(tmp_path / "fp32", "fp32")
    loss, found = first_loss(tmp_path / precision, precision)
    assert loss != exact
    assert loss == pytest.approx(exact, rel=tolerance)
    assert found.keys() == wanted.keys()
    assert {each.dtype for each in found.values()} == {torch.float32}
    ours = torch.cat([each.flatten() for each in found.values()])
    theirs = torch.cat([each.flatten() for each in wanted.values()])
    assert float((ours - theirs).norm() / theirs.norm()) < 10 * tolerance


def test_matrices_are_multiplied_in_bf16_and_the_loss_is_summed_in_fp32(tmp_path: Path) -> None:
    trainer, _ = trainer_of(tmp_path, "bf16")
    setup = trainer.setup
    seen: list[torch.dtype] = []
    layer = setup.model.module.get_submodule("model.decoder.layers.0.fc1")
    layer.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    steps = setup.feed.steps(0, 0)
    _, micro_batches = next(steps)
    _, batch = next(micro_batches)
    loss = setup.model.loss(batch, setup.module)
    steps.close()
    assert seen == [torch.bfloat16]
    assert loss.dtype == torch.float32


@pytest.mark.usefixtures("_not_validated")
def test_a_step_that_overflows_is_done_again_with_a_lower_scale_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    trainer, context = trainer_of(tmp_path / "huge", "fp16", scale=HUGE)
    train.train(trainer)
    AcceleratorState._reset_state(reset_partial_state=True)
    assert trainer.scaling.repeated > 0
    assert trainer.health.skipped == 0
    assert trainer.state.step == 3
    told = [line for line in context.lines if line.startswith("step 1: a gradient overflows")]
    assert told[0] == f"step 1: a gradient overflows in fp16; again with scale {HUGE / 2:g}"
    # As if it had begun with the scale at which the first step succeeded.
    settled = HUGE / 2 ** len(told)
    other, _ = trainer_of(tmp_path / "settled", "fp16", scale=settled)
    train.train(other)
    assert other.scaling.repeated == trainer.scaling.repeated - len(told)
    assert other.state.history == trainer.state.history
    for name, parameter in trainer.setup.trained.items():
        assert torch.equal(parameter, other.setup.trained[name]), name


def test_a_step_that_no_scale_helps_is_skipped_and_leaves_the_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, _ = trainer_of(tmp_path, "fp16")
    trainer.restore()
    loss = Whisper.loss
    monkeypatch.setattr(Whisper, "loss", lambda *arguments: loss(*arguments) * math.nan)
    scale = trainer.scaling.state().get("scale")
    trainer.step()
    trainer.close()
    assert trainer.health.skipped == 1
    assert trainer.scaling.repeated == 0
    assert trainer.scaling.state()["scale"] == scale


class _KilledError(BaseException):
    pass


def final(spec: RunSpec, root: Path) -> tuple[bytes, bytes, dict[str, Any]]:
    """Weights, optimiser and scale of the last checkpoint."""
    found = Checkpoints(storage_of(spec), run_id(spec), "reader", root / "read", print).restore()
    assert found is not None
    state = json.loads((found.folder / keys.STATE).read_bytes())
    weights, optimiser = (found.folder / name for name in (keys.WEIGHTS, keys.OPTIMISER))
    return weights.read_bytes(), optimiser.read_bytes(), state["scaling"]


@pytest.mark.usefixtures("_not_validated")
def test_a_run_in_fp16_that_was_killed_goes_on_with_the_scale_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = trainer_of(tmp_path / "whole", "fp16", scale=2.0**24)
    train.train(whole)
    AcceleratorState._reset_state(reset_partial_state=True)
    killed, _ = trainer_of(tmp_path / "killed", "fp16", scale=2.0**24)
    save, saves = killed.save, iter(range(3))

    def dying() -> None:
        if next(saves) == 2:
            raise _KilledError
        save()

    monkeypatch.setattr(killed, "save", dying)
    with pytest.raises(_KilledError):
        train.train(killed)
    killed.saver.wait()
    killed.close()
    AcceleratorState._reset_state(reset_partial_state=True)
    again, context = trainer_of(tmp_path / "killed", "fp16")
    train.train(again)
    assert "continuing from the checkpoint of step 2" in context.lines
    expected = final(whole.spec, tmp_path / "a")
    assert final(killed.spec, tmp_path / "b") == expected
    assert expected[2]["scale"] < 2.0**24


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_model_is_measured_in_half_precision_and_the_result_says_so(
    tmp_path: Path, precision: str
) -> None:
    spec = make_run(
        tmp_path, task="evaluate", evaluate__max_utterances=1, resources__precision=precision
    )
    context = stage_context(spec, tmp_path / "scratch")
    evaluate.run(context, language="el")
    key = keys.result_file(context.run, "base", spec.data.source.name, "el")
    measured = Result.model_validate_json(context.storage.read(key))
    assert measured.settings.precision == precision
    assert measured.scores.lead.value > 0
