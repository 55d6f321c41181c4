"""Floating-point operations of training Whisper, from the shapes of its matrices."""

from __future__ import annotations

from dataclasses import dataclass

# Positions of the encoder for a window of 30 s, and label tokens of a window that is full.
POSITIONS = 1500
TOKENS = 200


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The shape of a Whisper (Radford et al. 2022, table 1)."""

    width: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 80
    vocabulary: int = 51_865


def of_window(shape: Shape, *, tokens: int = TOKENS, frozen_encoder: bool = False) -> float:
    """TFLOP of one window of 30 s, forward and backward; a multiply and an add are 2.

    A backward pass costs twice its forward pass. A frozen encoder has none, and the decoder passes
    no gradient back to it.

    Args:
        shape: shape of the model.
        tokens: label tokens of the window.
        frozen_encoder: True if only the decoder is trained.
    """
    encoder, decoder = _encoder(shape), _decoder(shape, tokens)
    if not frozen_encoder:
        return 3 * (encoder + decoder) / 1e12
    unneeded = shape.decoder_layers * _memory(shape)
    return (encoder + 3 * decoder - unneeded) / 1e12


def _encoder(shape: Shape) -> float:
    """Two convolutions over 3,000 frames of which the second halves them, then the layers."""
    width = shape.width
    convolutions = 2 * 3 * width * (2 * POSITIONS * shape.mels + POSITIONS * width)
    # Four projections, two products of attention, and two layers four times as wide.
    layer = 24 * POSITIONS * width**2 + 4 * POSITIONS**2 * width
    return float(convolutions + shape.encoder_layers * layer)


def _decoder(shape: Shape, tokens: int) -> float:
    """Attention to itself and to the encoder, wider layers, and the logits."""
    width = shape.width
    own = 8 * tokens * width**2 + 4 * tokens**2 * width
    across = 4 * tokens * width**2 + 4 * tokens * POSITIONS * width + _memory(shape)
    layer = own + across + 16 * tokens * width**2
    return float(shape.decoder_layers * layer + 2 * tokens * width * shape.vocabulary)


def _memory(shape: Shape) -> float:
    """Keys and values of the encoder's output, for one layer of the decoder."""
    return 4.0 * POSITIONS * shape.width**2
