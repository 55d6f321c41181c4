"""The update of a step waits for no number, and a step that is not finite changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.step import gradient
from jobrunner.core.training.step.update import step_if
from jobrunner.core.training.trainer import Trainer
from tests.builders import stage_context
from tests.harness.tiny import make_run

# Operations after which a process waits until a device has done all of its work.
LIST = "tolist"
WAITS = (LIST, "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal")
# With one number these mark what happens when.
FORWARD, UPDATE = "aten::index_select", "aten::_fused_adamw_"


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of the operations that are called, in their order.

    A list of a CPU's numbers takes no operation, so that is noted by itself.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        tolist = torch.Tensor.tolist

        def noted(tensor: torch.Tensor) -> Any:
            self.names.append(LIST)
            return tolist(tensor)

        patch.setattr(torch.Tensor, "tolist", noted)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.append(func.name().split(".")[0])
        return func(*args, **(kwargs or {}))


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    """With dropout, masks, and features that the device computes, as on a GPU."""
    context = stage_context(make_run(tmp_path), tmp_path / "scratch")
    trainer = Trainer(context, set_up(context))
    model: Any = trainer.setup.model
    model.recipe.for_device = True
    trainer.restore()
    yield trainer
    trainer.close()


def test_nothing_is_waited_for_from_the_first_forward_to_the_update(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.step()  # the optimiser makes its state in the first one
    with Calls(monkeypatch) as calls:
        trainer.step()
    names = calls.names
    assert names.count(FORWARD) >= 2  # micro-batches
    before = names[: names.index(UPDATE)]
    within = before[before.index(FORWARD) :]
    assert not [name for name in within if name in WAITS]
    # The loss and the norm are read once, afterwards.
    after = names[names.index(UPDATE) :]
    assert [name for name in after if name in WAITS] == [LIST]


@pytest.mark.parametrize("wait", [float, bool, lambda mean: mean.tolist()])
def test_a_wait_before_the_update_would_be_seen(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, wait: Callable[[torch.Tensor], Any]
) -> None:
    trainer.step()
    of_mean = gradient.of_mean

    def waiting(*arguments: Any) -> Any:
        mean, norm = of_mean(*arguments)
        wait(mean)
        return mean, norm

    monkeypatch.setattr(gradient, "of_mean", waiting)
    with Calls(monkeypatch) as calls:
        trainer.step()
    before = calls.names[: calls.names.index(UPDATE)]
    assert set(before[before.index(FORWARD) :]) & set(WAITS)


def test_a_step_that_is_left_out_is_as_if_it_had_not_been(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.step()
    setup = trainer.setup
    weights = {name: p.detach().clone() for name, p in setup.trained.items()}
    state = {
        (number, slot): value.clone()
        for number, slots in setup.optimiser.state_dict()["state"].items()
        for slot, value in slots.items()
    }
    loss = Whisper.loss
    with monkeypatch.context() as patch:
        patch.setattr(Whisper, "loss", lambda *arguments: loss(*arguments) * math.inf)
        trainer.step()
    assert trainer.health.skipped == 1
    for name, parameter in setup.trained.items():
        assert torch.equal(parameter, weights[name]), name
        assert parameter.grad is None
    for number, slots in setup.optimiser.state_dict()["state"].items():
        for slot, value in slots.items():
            assert torch.equal(value, state[number, slot]), (number, slot)
    trainer.step()
    steps = {int(slots["step"]) for slots in setup.optimiser.state_dict()["state"].values()}
    assert steps == {2}


def optimisers() -> list[Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]]:
    return [
        lambda given: torch.optim.AdamW(given, lr=0.1, fused=True),
        lambda given: torch.optim.AdamW(given, lr=0.1, foreach=False),
        lambda given: torch.optim.SGD(given, lr=0.1),
    ]


@pytest.mark.parametrize("make", optimisers(), ids=["fused", "loop", "sgd"])
@pytest.mark.parametrize("fine", [True, False])
def test_each_kind_of_optimiser_can_leave_a_step_out(
    make: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], fine: bool
) -> None:
    gated, plain = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    for parameter in (gated, plain):
        parameter.grad = torch.tensor([1.0, -2.0, 0.5])
    optimiser, other = make([gated]), make([plain])
    step_if(optimiser, torch.tensor(fine))
    assert not hasattr(optimiser, "found_inf")
    if fine:
        other.step()
    assert torch.equal(gated, plain)
