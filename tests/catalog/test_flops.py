"""Floating-point operations against those that torch counts."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperConfig, WhisperForConditionalGeneration

from jobrunner.catalog import flops, models
from jobrunner.catalog.flops import Shape


def _counted(shape: Shape, *, tokens: int, frozen: bool) -> float:
    """TFLOP of a training step of a model without weights."""
    heads = max(1, shape.width // 64)
    config = WhisperConfig(
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_ffn_dim=4 * shape.width,
        decoder_ffn_dim=4 * shape.width,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        num_mel_bins=shape.mels,
        vocab_size=shape.vocabulary,
    )
    with torch.device("meta"):
        model = WhisperForConditionalGeneration._from_config(config, attn_implementation="eager")
        features = torch.zeros(1, shape.mels, 3000)
        labels = torch.zeros(1, tokens, dtype=torch.long)
        # A mask that is whole already: transformers would read values to make one.
        mask = torch.zeros(1, 1, tokens, tokens)
    if frozen:
        model.model.encoder.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        model(
            input_features=features, labels=labels, decoder_attention_mask=mask, use_cache=False
        ).loss.backward()
    return float(counter.get_total_flops()) / 1e12


@pytest.mark.parametrize("frozen", [False, True], ids=["all", "frozen encoder"])
@pytest.mark.parametrize(("name", "tokens"), [("tiny", 200), ("small", 32), ("turbo", 200)])
def test_the_formula_gives_what_torch_counts(name: str, tokens: int, frozen: bool) -> None:
    shape = models.shape(f"whisper-{name}")
    assert shape is not None
    found = flops.of_window(shape, tokens=tokens, frozen_encoder=frozen)
    assert found == pytest.approx(_counted(shape, tokens=tokens, frozen=frozen), rel=0.02)


def test_every_preset_has_a_shape_and_the_operations_that_are_said_of_it() -> None:
    for name, preset in models.PRESETS.items():
        shape = models.shape(name)
        assert shape is not None
        assert flops.of_window(shape) == pytest.approx(preset.window_tflop, rel=0.02)
        assert flops.of_window(shape, frozen_encoder=True) < flops.of_window(shape) / 1.9
