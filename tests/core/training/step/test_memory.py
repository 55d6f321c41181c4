"""Memory that runs out: smaller micro-batches and the same result, or one error for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.core import train
from jobrunner.core.attempt.metrics import Metrics
from jobrunner.core.models import whisper, whisper_loss
from jobrunner.core.models.whisper_activations import first_layer
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.step import gradient, memory
from jobrunner.core.training.step.memory import is_full, make_room
from jobrunner.core.training.trainer import Trainer
from jobrunner.errors import PERMANENT_EXIT_CODES, OutOfMemory
from jobrunner.spec import RunSpec
from jobrunner.spec.memory import GIB
from tests.builders import LoggedContext, stage_context
from tests.harness.hints import assert_hint
from tests.harness.stored import export_of, history_of
from tests.harness.tiny import make_run

CPU = torch.device("cpu")


def spec_in(root: Path, **changes: Any) -> RunSpec:
    """Six steps of one micro-batch each, unless memory runs out."""
    return make_run(root, **{"resources__device_seconds": 0.0, **changes})


def full_above(module: Any, most: int, *, backward: bool = False) -> list[int]:
    """Makes a module run out of memory with more windows than it holds; returns their numbers.

    Args:
        module: the module.
        most: windows that it holds.
        backward: after a part of the gradients was computed, instead of at once.
    """
    refused: list[int] = []

    def refuse(windows: int) -> None:
        if windows > most and module.training:
            refused.append(windows)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def before(_: Any, args: Any, kwargs: Any) -> None:
        if not backward and module.training:
            refuse(len(kwargs["input_features"]))

    def hooked(layer: Any, args: Any, output: Any) -> Any:
        if output.requires_grad:
            output.register_hook(lambda gradient: refuse(len(gradient)))

    module.register_forward_pre_hook(before, with_kwargs=True)
    if backward:
        module.model.encoder.layers[0].register_forward_hook(hooked)
    return refused


def trained(
    root: Path, most: int | None = None, *, backward: bool = False, **changes: Any
) -> tuple[list[float], dict[str, torch.Tensor], LoggedContext]:
    """Losses, weights and the context of a run whose device holds so many windows at a time."""
    spec = spec_in(root, **changes)
    context = stage_context(spec, root / "scratch")
    metrics = Metrics(context.record, "train", context.attempt, cause=str)
    context.progress.listeners.append(metrics.count)
    setup = set_up(context)
    if most is not None:
        full_above(setup.model.module, most, backward=backward)
    trainer = Trainer(context, setup)
    try:
        train.train(trainer)
    finally:
        trainer.close()
    counted = metrics.registry.get_sample_value(
        "jobrunner_train_out_of_memory_retries_total",
        {"language": "el", "model": metrics._labels[1], "stage": "train"},
    )
    assert (counted or 0.0) == setup.memory.retries
    history = history_of(spec)
    assert sum(each.get("out_of_memory_retries", 0) for each in history) == setup.memory.retries
    losses = [each["loss"] for each in history if "loss" in each]
    weights = {name: each.detach().clone() for name, each in setup.trained.items()}
    return losses, weights, context


EXACT: dict[str, Any] = {"train__dropout": 0.0, "train__spec_augment": False}


@pytest.mark.parametrize("backward", [False, True], ids=["in the forward pass", "in the backward"])
def test_a_run_that_runs_out_of_memory_has_the_result_of_one_that_does_not(
    tmp_path: Path, backward: bool
) -> None:
    losses, weights, calm = trained(tmp_path / "calm", **EXACT)
    assert not [line for line in calm.lines if "out of memory" in line]
    halved, other, context = trained(tmp_path / "full", 2, backward=backward, **EXACT)
    lines = [line for line in context.lines if "out of memory" in line]
    assert lines[0].startswith("out of memory with ")
    assert "windows at a time; continuing with " in lines[0]
    # Learnt once: it does not run out at each step anew.
    assert 1 <= len(lines) <= 3
    assert halved == pytest.approx(losses, rel=1e-5)
    for name, each in weights.items():
        torch.testing.assert_close(other[name], each, rtol=1e-3, atol=1e-4)


def test_it_runs_out_in_the_same_way_again_bit_for_bit(tmp_path: Path) -> None:
    # With dropout and masks, whose random numbers begin again with the step.
    first, weights, _ = trained(tmp_path / "first", 2, backward=True)
    second, other, _ = trained(tmp_path / "second", 2, backward=True)
    assert first == second
    assert all(torch.equal(other[name], each) for name, each in weights.items())


def test_where_no_window_fits_one_permanent_error_names_what_would(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match=r"Not even one window of 2 s fits") as found:
        trained(tmp_path, 0, backward=True)
    assert found.value.exit_code == 72
    assert found.value.exit_code in PERMANENT_EXIT_CODES
    assert_hint("Submit it with what fits: {}.", found.value.hint)
    assert "--set train.freeze_encoder=true" in found.value.hint
    # Gradients of a frozen encoder take no room of the device that had none for them.
    losses, _, _ = trained(tmp_path, 0, backward=True, train__freeze_encoder=True)
    assert len(losses) == 6


def test_a_model_that_does_not_fit_itself_is_a_permanent_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(tmp_path)
    # As on a full GPU: moving the weights there fails.
    with monkeypatch.context() as patch:
        patch.setattr(whisper_loss.ScoringWhisper, "to", _refuse)
        with pytest.raises(OutOfMemory, match="itself does not fit into the memory") as found:
            train.run(stage_context(spec, tmp_path / "scratch"))
    hint = "Submit it with a smaller --model, or where there is more memory."
    assert_hint(hint, found.value.hint)
    train.run(stage_context(spec, tmp_path / "scratch"))
    assert export_of(spec).is_dir()


def _refuse(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_the_largest_micro_batch_is_tried_without_a_trace(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, train__dropout=0.2)
    context = stage_context(spec, tmp_path / "scratch")
    setup = set_up(context)
    refused = full_above(setup.model.module, 1)
    before = {name: each.detach().clone() for name, each in setup.trained.items()}
    largest = setup.feed.largest(0)
    assert len(largest) > 1
    gradient.rehearse(setup, largest)
    assert refused[0] == len(largest)
    assert setup.memory.retries == len(refused)
    assert len(setup.memory.parts(largest)[0]) == 1
    assert all(torch.equal(before[name], each) for name, each in setup.trained.items())
    assert all(each.grad is None for each in setup.trained.values())
    assert not setup.optimiser.state
    assert setup.module.training

    # What follows is bit for bit what it is without the trial.
    whole = trained(tmp_path / "plain", 1, train__dropout=0.2)
    trainer = Trainer(context, setup)
    try:
        train.train(trainer)
    finally:
        trainer.close()
    assert all(torch.equal(whole[1][name], each) for name, each in setup.trained.items())


def test_parts_of_a_batch_are_the_batch(tmp_path: Path) -> None:
    setup = set_up(stage_context(spec_in(tmp_path), tmp_path / "scratch"))
    batch: Any = setup.feed.largest(0)
    rows = len(batch)
    parts: list[Any] = [batch.part(0, 1), batch.part(1, rows)]
    assert [len(part) for part in parts] == [1, rows - 1]
    assert sum(part.weight for part in parts) == batch.weight
    assert sum(part.nbytes for part in parts) == batch.nbytes
    assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_an_error_of_full_memory_is_known(error: Exception, full: bool) -> None:
    assert is_full(error) is full


def test_the_cpus_own_error_is_known() -> None:
    with pytest.raises(RuntimeError) as found:
        torch.empty(2**50)
    assert is_full(found.value)


@pytest.fixture
def model(finished: RunSpec) -> whisper.Whisper:
    return whisper.load(export_of(finished), finished, "cpu", torch.float32, train=finished.train)


def recomputes(model: whisper.Whisper) -> bool:
    return bool(model.module.model.decoder.layers[0].gradient_checkpointing)


@pytest.mark.parametrize(("setting", "on"), [("on", True), ("off", False), ("auto", False)])
def test_activation_checkpointing_is_as_the_run_says(
    model: whisper.Whisper, tmp_path: Path, setting: str, on: bool
) -> None:
    spec = spec_in(tmp_path, resources__activation_checkpointing=setting)
    room = make_room(model, spec, CPU, half=False)
    assert recomputes(model) is on
    assert room.cost is not None
    assert room.cost.checkpointing is on
    assert room.seconds == 480.0
    assert first_layer(model.module.model.encoder) == 0


def test_auto_switches_it_on_where_too_little_would_fit(
    model: whisper.Whisper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(tmp_path)
    plain = model.cost(half=False, checkpointing=False)
    one = plain.planned(1, plain.sizes.seconds, plain.sizes.tokens)
    monkeypatch.setattr(memory, "limit_bytes", lambda *_: one + 1)
    make_room(model, spec, CPU, half=False)
    assert not recomputes(model)
    monkeypatch.setattr(memory, "limit_bytes", lambda *_: one - 1)
    make_room(model, spec, CPU, half=False)
    assert recomputes(model)


def test_the_cpu_counts_what_its_container_may_have_and_not_what_is_left(
    model: whisper.Whisper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMIT", limit)
    whole = memory.limit_bytes(model, CPU, 1)
    assert whole > 0.1 * GIB
    ballast = torch.ones(25_000_000)
    # Otherwise a second attempt could have other micro-batches, and other last bits.
    assert memory.limit_bytes(model, CPU, 1) == whole
    assert ballast[-1] == 1.0
    limit.write_text("3000000\n")
    assert memory.limit_bytes(model, CPU, 2) == pytest.approx(0.6 * 1_500_000)
    limit.write_text("max\n")
    assert memory.limit_bytes(model, CPU, 1) == whole


def test_results_with_and_without_it_are_equal(tmp_path: Path) -> None:
    runs = [
        trained(tmp_path / setting, resources__activation_checkpointing=setting)
        for setting in ("off", "on")
    ]
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(runs[1][1][name], each) for name, each in runs[0][1].items())
