"""Layers that are computed again: which of them, and with equal results."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.core.models.whisper_activations import recompute, weights_of
from jobrunner.core.models.whisper_loss import ScoringWhisper

MICRO = Path(__file__).parents[3] / "examples" / "whisper-micro"


@pytest.fixture(scope="module")
def micro() -> Any:
    return ScoringWhisper.from_pretrained(MICRO, attn_implementation="sdpa")


def step_of(model: Any, *, half: bool = False) -> list[torch.Tensor]:
    """The loss of random windows and the gradients, with dropout."""
    torch.manual_seed(0)
    config = model.config
    features = torch.randn(3, config.num_mel_bins, 2 * config.max_source_positions)
    inputs = torch.randint(config.vocab_size, (3, 17))
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = model(
            input_features=features,
            decoder_input_ids=inputs,
            targets=inputs.flatten(),
            places=torch.arange(inputs.numel()),
        )
    torch.autograd.backward(loss)
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return [loss.detach(), *gradients]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_loss_and_gradients_are_equal_bit_for_bit(micro: Any, dropout: float, half: bool) -> None:
    plain, again = copy.deepcopy(micro).train(), copy.deepcopy(micro).train()
    for model in (plain, again):
        for module in model.modules():
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = dropout
    layers = len(micro.model.encoder.layers) + len(micro.model.decoder.layers)
    assert recompute(again) == layers
    first, second = step_of(plain, half=half), step_of(again, half=half)
    assert len(first) == len(second)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def computed(model: Any) -> list[str]:
    """Names of the layers that were computed twice in one step, by counting."""
    counts: dict[str, int] = {}
    parts = {"encoder": model.model.encoder, "decoder": model.model.decoder}
    for side, part in parts.items():
        for place, layer in enumerate(part.layers):
            name = f"{side} {place}"

            def counting(*_: Any, name: str = name) -> None:
                counts[name] = counts.get(name, 0) + 1

            # A norm within the layer: the layer's own hooks are outside of what is repeated.
            layer.final_layer_norm.register_forward_pre_hook(counting)
    step_of(model)
    return [name for name, count in counts.items() if count == 2]


def test_nothing_is_computed_twice_in_what_is_frozen(micro: Any) -> None:
    frozen = copy.deepcopy(micro).train()
    frozen.freeze_encoder()
    decoder = [f"decoder {place}" for place in range(len(micro.model.decoder.layers))]
    assert recompute(frozen) == len(decoder)
    assert computed(frozen) == decoder
    assert weights_of(frozen).first_layer == len(micro.model.encoder.layers)

    partly = copy.deepcopy(micro).train()
    encoder = partly.model.encoder
    for part in (encoder.conv1, encoder.conv2, encoder.embed_positions, encoder.layers[0]):
        part.requires_grad_(False)
    last = [f"encoder {place}" for place in range(1, len(encoder.layers))]
    assert recompute(partly) == len(last) + len(decoder)
    assert computed(partly) == [*last, *decoder]
    found = weights_of(partly)
    assert found.first_layer == 1
    total = sum(each.numel() for each in partly.parameters())
    assert found.trained + found.frozen_bytes / 4 == total


def test_decoding_is_not_affected(micro: Any) -> None:
    again = copy.deepcopy(micro)
    recompute(again)
    features = torch.randn(2, micro.config.num_mel_bins, 2 * micro.config.max_source_positions)
    outputs = [
        model.eval().generate(features, language="en", max_new_tokens=8) for model in (micro, again)
    ]
    assert torch.equal(*outputs)
