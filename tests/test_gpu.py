"""What only a GPU can show. `pytest -m gpu` runs these alone; without a GPU they are left out.

Kernels of a GPU may add up in another order each time, so gradients are compared with a tolerance;
what is computed from the same weights, without a gradient in between, is compared bit for bit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from jobrunner.core.models.whisper_recipe import WindowBatch
from jobrunner.core.training import ranks
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import RunSpec
from tests.builders import stage_context
from tests.harness.tiny import make_run

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
PROGRAM = Path(__file__).parent / "harness" / "two_ranks.py"


def another_process() -> None:
    """Forgets device and precision, which accelerate keeps for the life of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    another_process()
    yield
    another_process()
    torch.use_deterministic_algorithms(False)


def run_in(root: Path, **changes: Any) -> RunSpec:
    values = {"resources__device": DEVICE, "resources__gpus": int(DEVICE == "cuda")}
    return make_run(root, **{**values, **changes})


def begun(spec: RunSpec, root: Path) -> Trainer:
    context = stage_context(spec, root / "scratch")
    trainer = Trainer(context, set_up(context))
    trainer.restore()
    return trainer


def losses_of(trainer: Trainer, steps: int) -> list[float]:
    for _ in range(steps):
        trainer.step()
    trainer.close()
    return [record["loss"] for record in trainer.state.history if "loss" in record]


def test_bf16_learns_what_fp32_learns(tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"train__dropout": 0.0, "train__spec_augment": False}
    losses = []
    for precision in ("fp32", "bf16"):
        another_process()
        spec = run_in(tmp_path / precision, resources__precision=precision, **quiet)
        trainer = begun(spec, tmp_path / precision)
        losses.append(losses_of(trainer, 5))
        # Weights and the optimiser's state stay in fp32.
        assert {p.dtype for p in trainer.setup.trained.values()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


# torch's compiler warns of what it does itself.
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_encoder_learns_what_a_plain_one_learns(tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"train__dropout": 0.0, "train__spec_augment": False}
    losses = []
    for compiled in (False, True):
        root = tmp_path / str(compiled)
        spec = run_in(root, resources__compile=compiled, resources__precision="fp32", **quiet)
        losses.append(losses_of(begun(spec, root), 4))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_batches_come_in_pinned_memory_and_arrive_whole(tmp_path: Path) -> None:
    trainer = begun(run_in(tmp_path), tmp_path)
    trainer.close()
    steps = trainer.setup.feed.steps(0, 0)
    for _, micro in islice(steps, 2):
        for _, batch in micro:
            assert isinstance(batch, WindowBatch)
            assert batch.labels.is_pinned() == (DEVICE == "cuda")
            moved = batch.to(trainer.setup.device)
            assert torch.equal(moved.labels.cpu(), batch.labels)
    steps.close()


def test_a_resumed_run_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    spec = run_in(tmp_path, train__steps=8, train__save_every=4, train__validate_every=4)
    first = begun(spec, tmp_path)
    for _ in range(4):
        first.step()
    first.save()
    first.saver.wait()
    first.step()
    first.close()
    second = begun(spec, tmp_path)
    assert second.state.step == 4
    second.step()
    second.close()
    one, two = (each.state.history[-1] for each in (first, second))
    # The same weights, clips, dropout and masks: no bit of the loss differs.
    assert one["loss"] == two["loss"]
    assert one["audio_seconds"] == two["audio_seconds"]
    assert two["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-3)
    for name, parameter in first.setup.trained.items():
        torch.testing.assert_close(second.setup.trained[name], parameter, rtol=1e-3, atol=1e-5)


def test_a_step_that_is_not_finite_is_left_out_by_the_device(tmp_path: Path) -> None:
    trainer = begun(run_in(tmp_path), tmp_path)
    trainer.step()
    before = {name: p.detach().clone() for name, p in trainer.setup.trained.items()}
    loss = trainer.setup.model.loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(trainer.setup.model), "loss", lambda self, *given: loss(*given) * float("nan")
        )
        trainer.step()
    trainer.close()
    assert trainer.health.skipped == 1
    for name, parameter in trainer.setup.trained.items():
        assert torch.equal(parameter, before[name])


def test_two_ranks_add_up_their_gradients(tmp_path: Path) -> None:
    """On two GPUs with NCCL; on one GPU both ranks share it, with gloo."""
    assert ranks.run(2, [sys.executable, str(PROGRAM), DEVICE, str(tmp_path)]) == 0
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["weight"] == second["weight"]
    assert first["losses"] == sorted(first["losses"], reverse=True)
    assert "bf16_compress_hook" in first["hook"]
