"""What is frozen does not change, needs no gradient, and is held in half precision exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.core.models import whisper
from jobrunner.core.models.frozen import is_lowered, lower, restore
from jobrunner.core.models.whisper_recipe import WindowBatch
from jobrunner.errors import SpecError
from tests import builders
from tests.harness.tiny import make_whisper

ENCODER = "model.encoder."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("model"))


def model_of(folder: Path, **options: Any) -> whisper.Whisper:
    spec = builders.spec(**{f"train__{name}": value for name, value in options.items()})
    return whisper.load(folder, spec, "cpu", torch.float32, train=spec.train)


def trained(model: whisper.Whisper) -> set[str]:
    return {name for group in model.groups() for name in group.parameters}


def batch() -> WindowBatch:
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 250, (2, 12), generator=random)
    return WindowBatch(
        features=torch.randn(2, 80, 200, generator=random),
        inputs=labels.roll(1, dims=1),
        labels=labels,
        heard=torch.full((2,), 200),
        weight=labels.numel(),
    )


def names_in(folder: Path) -> set[str]:
    return trained(model_of(folder))


def test_an_encoder_that_is_frozen_runs_without_autograd(folder: Path) -> None:
    model = model_of(folder, freeze_encoder=True)
    assert trained(model) == {name for name in names_in(folder) if not name.startswith(ENCODER)}
    seen: list[bool] = []
    encoder = model.module.model.encoder
    encoder.register_forward_hook(
        lambda module, given, result: seen.append(result.last_hidden_state.requires_grad)
    )
    loss = model.loss(batch())
    assert seen == [False]
    assert loss.requires_grad


def test_the_first_layers_are_frozen_with_what_comes_before_them(folder: Path) -> None:
    left = trained(model_of(folder, freeze_layers=1))
    gone = names_in(folder) - left
    assert {name.removeprefix(ENCODER).split(".")[0] for name in gone} == {
        "conv1",
        "conv2",
        "embed_positions",
        "layers",
    }
    assert {name for name in gone if ".layers." in name} == {
        name for name in names_in(folder) if name.startswith(f"{ENCODER}layers.0.")
    }
    # Nothing before the second layer needs a gradient, so no graph is kept for it.
    model = model_of(folder, freeze_layers=1)
    seen: list[bool] = []
    for layer in model.module.model.encoder.layers:
        layer.register_forward_hook(lambda module, given, result: seen.append(_needs(result)))
    model.loss(batch())
    assert seen == [False, True]


def _needs(result: Any) -> bool:
    return bool((result[0] if isinstance(result, tuple) else result).requires_grad)


def test_a_pattern_freezes_weights_by_name_and_by_what_they_are_in(folder: Path) -> None:
    every = names_in(folder)
    patterns = ("model.decoder.layers.0", "*layer_norm.bias")
    gone = every - trained(model_of(folder, freeze=patterns))
    assert gone == {
        name
        for name in every
        if name.startswith("model.decoder.layers.0.") or name.endswith("layer_norm.bias")
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"freeze": ("model.decoder.layer.0",)},
            r"train\.freeze: 'model\.decoder\.layer\.0' matches no weight of the model\. "
            r"Nearest: model\.decoder\.layers\.0, ",
        ),
        ({"freeze": ("*.fc3.*",)}, r"'\*\.fc3\.\*' matches no weight of the model\. Nearest: fc"),
        ({"freeze": ("*",)}, r"train\.freeze: freezes every weight; nothing is left to train\."),
        (
            {"freeze": ("model.decoder",), "freeze_encoder": True},
            r"freezes every weight; nothing is left to train\.",
        ),
        ({"freeze_layers": 3}, r"train\.freeze_layers: 3 is more than the 2 layers of the encod"),
    ],
    ids=str,
)
def test_what_cannot_be_frozen_is_one_clear_error(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        model_of(folder, **options)


def test_the_names_that_the_error_offers_can_be_frozen(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        model_of(folder, freeze=("model.decoder.embed_token",))
    offered = caught.value.hint.removeprefix("Nearest: ").rstrip(".").split(", ")
    assert offered[0] == "model.decoder.embed_tokens"
    for name in offered:
        assert trained(model_of(folder, freeze=(name,))) < names_in(folder)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_frozen_weights_in_half_precision_change_no_bit_of_loss_and_gradient(
    folder: Path, dtype: torch.dtype
) -> None:
    found = []
    for lowered in (False, True):
        model = model_of(folder, freeze_layers=1, freeze=("*.decoder.layers.1.fc1",))
        if lowered:
            lower(model.module, dtype)
        with torch.autocast("cpu", dtype):
            loss = model.loss(batch())
        torch.autograd.backward(loss)
        gradients = [p.grad for p in model.module.parameters() if p.grad is not None]
        found.append([loss.detach(), *gradients])
        held = {p.dtype for p in model.module.parameters() if not p.requires_grad}
        assert held == ({dtype, torch.float32} if lowered else {torch.float32})
        assert {p.dtype for p in model.module.parameters() if p.requires_grad} == {torch.float32}
    for plain, half in zip(*found, strict=True):
        assert torch.equal(plain, half)


def test_an_embedding_that_is_a_matrix_too_stays_exact(folder: Path) -> None:
    model = model_of(folder, freeze=("model.decoder.embed_tokens",))
    lower(model.module, torch.bfloat16)
    assert model.module.proj_out.weight.dtype == torch.float32
    assert not is_lowered(model.module)


def test_an_export_has_the_frozen_weights_that_the_base_has(folder: Path, tmp_path: Path) -> None:
    model = model_of(folder, freeze_encoder=True)
    exact = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    lower(model.module, torch.bfloat16)
    assert is_lowered(model.module)
    model.export(tmp_path / "export")
    again = dict(model_of(tmp_path / "export").module.named_parameters())
    for name, parameter in exact.items():
        assert torch.equal(again[name], parameter), name


def test_weights_that_were_not_rounded_are_left_alone(folder: Path) -> None:
    model = model_of(folder, freeze_encoder=True)
    lower(model.module, torch.bfloat16)
    exact = {n: torch.ones_like(p, dtype=torch.float32) for n, p in model.module.named_parameters()}
    before = model.module.model.decoder.layers[0].fc1.weight.detach().clone()
    restore(model.module, exact)
    assert torch.equal(model.module.model.decoder.layers[0].fc1.weight, before)
    assert bool((model.module.model.encoder.conv1.weight == 1).all())
