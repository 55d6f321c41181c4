"""Floating-point operations against those that torch counts."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperConfig, WhisperForConditionalGeneration

from jobrunner.catalog import flops, models
from jobrunner.catalog.dimensions import DIMENSIONS, Dimensions


def _counted(sizes: Dimensions, *, tokens: int, frozen: bool) -> float:
    """TFLOP of a training step of a model without weights."""
    heads = max(1, sizes.width // 64)
    config = WhisperConfig(
        d_model=sizes.width,
        encoder_layers=sizes.encoder_layers,
        decoder_layers=sizes.decoder_layers,
        encoder_ffn_dim=4 * sizes.width,
        decoder_ffn_dim=4 * sizes.width,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        num_mel_bins=sizes.mels,
        vocab_size=sizes.vocabulary,
    )
    with torch.device("meta"):
        model = WhisperForConditionalGeneration._from_config(config, attn_implementation="eager")
        features = torch.zeros(1, sizes.mels, 3000)
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
    sizes = DIMENSIONS[f"whisper-{name}"]
    found = flops.of_window(sizes, tokens=tokens, frozen_encoder=frozen)
    assert found == pytest.approx(_counted(sizes, tokens=tokens, frozen=frozen), rel=0.02)


# TFLOP of a window of 30 s with 200 tokens, counted by FlopCounterMode apart from this project.
COUNTED = {"small": 1.36, "medium": 4.45, "large-v3": 8.89, "turbo": 7.15}


def test_every_preset_has_dimensions_and_the_operations_that_others_counted() -> None:
    for name in models.PRESETS:
        sizes = DIMENSIONS[name]
        assert flops.of_window(sizes, frozen_encoder=True) < flops.of_window(sizes) / 1.9
    for name, counted in COUNTED.items():
        found = flops.of_window(DIMENSIONS[f"whisper-{name}"])
        assert found == pytest.approx(counted, rel=0.02)
