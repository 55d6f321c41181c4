"""Moments in 8 bits: they train, and go through a checkpoint unchanged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from jobrunner.core.checkpoint import tensors
from jobrunner.core.models.base import ParameterGroup, groups_by_decay
from jobrunner.core.training.optimiser import load_state, make_optimiser, state_tensors
from jobrunner.errors import UsageError
from jobrunner.spec import TrainSpec
from tests.harness.hints import assert_hint

EIGHT = TrainSpec(optimiser="adamw8bit", learning_rate=0.01, weight_decay=0.1)


def made() -> tuple[torch.nn.Module, list[ParameterGroup]]:
    torch.manual_seed(0)
    # Matrices of more than 4,096 numbers, whose moments have 8 bits, and biases, whose have 32.
    module = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.Tanh(), torch.nn.Linear(96, 64))
    return module, groups_by_decay(module)


def steps(module: torch.nn.Module, optimiser: torch.optim.Optimizer, numbers: range) -> None:
    for number in numbers:
        random = torch.Generator().manual_seed(number)
        optimiser.zero_grad()
        wanted = torch.randn(8, 64, generator=random)
        torch.autograd.backward(((module(wanted) - wanted) ** 2).mean())
        optimiser.step()


def test_training_in_8_bits_goes_on_from_a_checkpoint_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is an option, and is not installed")
    module, groups = made()
    optimiser = make_optimiser(groups, EIGHT)
    steps(module, optimiser, range(3))
    state = state_tensors(optimiser, groups)
    assert state["0.weight/state1"].dtype == torch.uint8
    assert state["0.bias/state1"].dtype == torch.float32
    path = tmp_path / "optimizer.safetensors"
    tensors.write(path, state)
    weights = {name: p.detach().clone() for name, p in module.named_parameters()}
    steps(module, optimiser, range(3, 6))

    again, their_groups = made()
    again.load_state_dict(weights)
    other = make_optimiser(their_groups, EIGHT)
    load_state(other, their_groups, safetensors.torch.load_file(path))
    steps(again, other, range(3, 6))
    for ours, theirs in zip(module.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    held, found = state_tensors(optimiser, groups), state_tensors(other, their_groups)
    assert held.keys() == found.keys()
    assert all(torch.equal(held[name], found[name]) for name in held)


def test_8_bits_are_close_to_32(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is an option, and is not installed")
    start = torch.cat([p.detach().flatten() for p in made()[0].parameters()])
    found = []
    for options in (EIGHT, EIGHT.model_copy(update={"optimiser": "adamw"})):
        module, groups = made()
        steps(module, make_optimiser(groups, options), range(20))
        found.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    eight, whole = found
    assert not torch.equal(eight, whole)
    assert float((eight - whole).norm() / (whole - start).norm()) < 0.1


def test_without_the_package_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    # What an import finds where a package is not installed.
    _, groups = made()
    plain = EIGHT.model_copy(update={"optimiser": "adamw"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "bitsandbytes", None)
        patch.setitem(sys.modules, "bitsandbytes.optim", None)
        with pytest.raises(UsageError) as caught:
            make_optimiser(groups, EIGHT)
        assert isinstance(make_optimiser(groups, plain), torch.optim.AdamW)
    assert str(caught.value) == (
        "train.optimiser adamw8bit needs the package bitsandbytes, which is not here. "
        "Use an image that has it, or --set train.optimiser=adamw."
    )
    hint = "Use an image that has it, or --set train.optimiser=adamw."
    assert_hint(hint, caught.value.hint)
    assert caught.value.exit_code == 2
