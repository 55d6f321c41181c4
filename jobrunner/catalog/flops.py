"""Floating-point operations of training Whisper, from the shapes of its matrices."""

from __future__ import annotations

from jobrunner.catalog.dimensions import Dimensions

# Positions of the encoder for a window of 30 s, and label tokens of a window that is full.
POSITIONS = 1500
TOKENS = 200


def of_window(sizes: Dimensions, *, tokens: int = TOKENS, frozen_encoder: bool = False) -> float:
    """TFLOP of one window of 30 s, forward and backward; a multiply and an add are 2.

    A backward pass costs twice its forward pass. A frozen encoder has none, and the decoder passes
    no gradient back to it.

    Args:
        sizes: dimensions of the model.
        tokens: label tokens of the window.
        frozen_encoder: True if only the decoder is trained.
    """
    encoder, decoder = _encoder(sizes), _decoder(sizes, tokens)
    if not frozen_encoder:
        return 3 * (encoder + decoder) / 1e12
    unneeded = sizes.decoder_layers * _memory(sizes)
    return (encoder + 3 * decoder - unneeded) / 1e12


def _encoder(sizes: Dimensions) -> float:
    """Two convolutions over 3,000 frames of which the second halves them, then the layers."""
    width = sizes.width
    convolutions = 2 * 3 * width * (2 * POSITIONS * sizes.mels + POSITIONS * width)
    # Four projections, two products of attention, and two layers four times as wide.
    layer = 24 * POSITIONS * width**2 + 4 * POSITIONS**2 * width
    return float(convolutions + sizes.encoder_layers * layer)


def _decoder(sizes: Dimensions, tokens: int) -> float:
    """Attention to itself and to the encoder, wider layers, and the logits."""
    width = sizes.width
    own = 8 * tokens * width**2 + 4 * tokens**2 * width
    across = 4 * tokens * width**2 + 4 * tokens * POSITIONS * width + _memory(sizes)
    layer = own + across + 16 * tokens * width**2
    return float(sizes.decoder_layers * layer + 2 * tokens * width * sizes.vocabulary)


def _memory(sizes: Dimensions) -> float:
    """Keys and values of the encoder's output, for one layer of the decoder."""
    return 4.0 * POSITIONS * sizes.width**2
