"""The loss in chunks is the plain loss, and needs a fraction of its memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.models.whisper_loss import summed_cross_entropy
from jobrunner.core.models.whisper_recipe import IGNORED, WindowBatch
from tests import builders
from tests.harness.tiny import make_whisper

TOKENS, WIDTH, IDS = 50, 16, 997


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("model") / "tiny")


def loaded(folder: Path) -> Whisper:
    return whisper.load(folder, builders.spec(model="./tiny"), "cpu", torch.float32)


def batch_of(model: Whisper) -> WindowBatch:
    """Three windows, some of whose labels are padding or a prompt."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 250, (3, 12), generator=random)
    inputs = labels.roll(1, dims=1)
    labels[0, :4] = labels[1, 9:] = IGNORED
    frames = model.recipe.features.frames
    features = torch.randn(3, 80, frames, generator=random)
    heard = torch.full((3,), frames)
    return WindowBatch(features=features, inputs=inputs, labels=labels, heard=heard, weight=29)


def plain(model: Whisper, batch: WindowBatch) -> torch.Tensor:
    """The loss over whole logits."""
    logits = model.module(
        input_features=batch.features, decoder_input_ids=batch.inputs, use_cache=False
    ).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), batch.labels.flatten(), reduction="sum"
    )


def gradients(loss: torch.Tensor, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    module.zero_grad()
    torch.autograd.backward(loss / 29)
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The size in bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(each, torch.Tensor):
                self.bytes = max(self.bytes, each.numel() * each.element_size())
        return result


def operands() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    hidden = torch.randn(TOKENS, WIDTH, generator=random).requires_grad_()
    weight = torch.randn(IDS, WIDTH, generator=random).requires_grad_()
    return hidden, weight, torch.randint(0, IDS, (TOKENS,), generator=random)


@pytest.mark.parametrize("chunk", [1, 7, 50, 64])
def test_each_length_of_chunks_gives_the_plain_loss_and_its_gradients(chunk: int) -> None:
    hidden, weight, targets = operands()
    whole = torch.nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    wanted = torch.autograd.grad(whole * 0.3, (hidden, weight))
    loss = summed_cross_entropy(hidden, weight, targets, chunk)
    found = torch.autograd.grad(loss * 0.3, (hidden, weight))
    torch.testing.assert_close(loss, whole)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_gradients_are_the_derivatives() -> None:
    random = torch.Generator().manual_seed(2)
    hidden = torch.randn(5, 3, dtype=torch.float64, generator=random).requires_grad_()
    targets = torch.tensor([0, 3, 1, 1, 2])
    weight = torch.randn(4, 3, dtype=torch.float64, generator=random)
    summed_cross_entropy(hidden, weight, targets, 2).backward()  # type: ignore[no-untyped-call]
    assert hidden.grad is not None
    step = 1e-3
    with torch.no_grad():
        for row, column in ((0, 0), (4, 2)):
            moved = [hidden.clone(), hidden.clone()]
            moved[0][row, column] += step
            moved[1][row, column] -= step
            up, down = (
                torch.nn.functional.cross_entropy(each @ weight.T, targets, reduction="sum")
                for each in moved
            )
            slope = (up - down) / (2 * step)
            torch.testing.assert_close(hidden.grad[row, column], slope, rtol=1e-4, atol=1e-5)


def test_what_is_frozen_gets_no_gradient() -> None:
    hidden, weight, targets = operands()
    weight.requires_grad_(False)
    summed_cross_entropy(hidden, weight, targets).backward()  # type: ignore[no-untyped-call]
    assert hidden.grad is not None
    assert weight.grad is None
    with torch.no_grad():
        loss = summed_cross_entropy(hidden, weight, targets)
    assert not loss.requires_grad


@pytest.mark.parametrize("bf16", [False, True])
def test_a_model_learns_the_same_without_its_logits(folder: Path, bf16: bool) -> None:
    model = loaded(folder)
    batch = batch_of(model)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        whole = plain(model, batch)
        loss = model.loss(batch)
    wanted, found = gradients(whole, model.module), gradients(loss, model.module)
    assert loss.dtype == torch.float32
    # The softmax's input is rounded to bf16 in both; its gradient's sum over tokens in one only.
    rough = 2e-2 if bf16 else 1e-5
    torch.testing.assert_close(loss, whole, rtol=rough, atol=0)
    assert wanted.keys() == found.keys()
    assert "model.decoder.embed_tokens.weight" in found  # tied: of both its uses
    for name, each in wanted.items():
        assert float((found[name] - each).norm()) <= rough * float(each.norm()) + 1e-6, name


def test_positions_may_be_given_or_found(folder: Path) -> None:
    model = loaded(folder)
    batch = batch_of(model)
    given = WindowBatch(
        features=batch.features,
        inputs=batch.inputs,
        labels=batch.labels,
        heard=batch.heard,
        weight=batch.weight,
        places=(batch.labels.flatten() != IGNORED).nonzero()[:, 0],
    )
    moved = given.to(torch.device("cpu"))
    assert moved.places is not None
    assert len(moved.places) == given.weight
    assert torch.equal(model.loss(moved), model.loss(batch))


def test_ddp_sees_every_parameter_through_forward(folder: Path, tmp_path: Path) -> None:
    alone = loaded(folder)
    batch = batch_of(alone)
    wanted = gradients(alone.loss(batch), alone.module)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1
    )
    try:
        model = loaded(folder)
        wrapped = DistributedDataParallel(model.module)
        for _ in range(2):  # the second backward fails if the first left a parameter out
            found = gradients(model.loss(batch, wrapped), model.module)
    finally:
        torch.distributed.destroy_process_group()
    assert wanted.keys() == found.keys()
    for name, each in wanted.items():
        assert torch.equal(each, found[name]), name


def test_logits_are_never_whole() -> None:
    chunk, tokens = 8, 256
    hidden = torch.randn(tokens, WIDTH, requires_grad=True)
    weight = torch.randn(IDS, WIDTH, requires_grad=True)
    targets = torch.randint(0, IDS, (tokens,))
    largest = []
    for chunked in (False, True):
        with Largest() as made:
            if chunked:
                loss = summed_cross_entropy(hidden, weight, targets, chunk)
            else:
                logits = hidden @ weight.T
                loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
            torch.autograd.backward(loss)
        largest.append(made.bytes)
    assert largest[0] == tokens * IDS * 4
    # The gradient of the projection is larger than a chunk's logits here.
    assert largest[1] == IDS * WIDTH * 4


def test_an_export_is_an_ordinary_whisper(folder: Path, tmp_path: Path) -> None:
    loaded(folder).export(tmp_path / "export")
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["architectures"] == ["WhisperForConditionalGeneration"]
