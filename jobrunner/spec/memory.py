"""The memory that training takes on one device: a model of its cost, and of the room for it. Pure.

The numbers are bytes of what autograd keeps for the backward pass of transformers' Whisper with
`scaled_dot_product_attention`, and of what lives for a moment on top. `tests/spec/test_memory.py`
compares them with all tensors that such a step makes, for every preset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobrunner.catalog.dimensions import POSITIONS_A_SECOND, Dimensions

GIB = 2**30
# AdamW keeps two moments in fp32 for each trained weight.
ADAMW_BYTES = 8.0
# In 8 bits each, with a scale for every 256 of them.
ADAMW8_BYTES = 2.1
# Bytes of a weight or a gradient in fp32, and of a weight's copy in which products are computed.
FULL, HALF = 4, 2
# Share of the memory left by weights, gradients and optimiser that windows are planned for. The
# rest is for gaps between blocks that come and go, and for the workspaces of libraries.
SHARE = 0.92
# Tokens that the loss scores at a time; more would take memory and no less time.
CHUNK = 1024
# Bytes that CUDA's context takes before the first tensor.
CONTEXT = 0.6e9


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of a model as they are trained."""

    trained: int
    """Number of those that are trained: fp32, each with a gradient."""
    frozen_bytes: float = 0.0
    """Bytes of the others."""
    copied: int
    """Number of fp32 weights that gradients pass, of which bf16 or fp16 makes copies."""
    optimiser_bytes: float = ADAMW_BYTES
    """Bytes that the optimiser keeps for each trained weight."""
    first_layer: int = 0
    """First layer of the encoder that gradients reach; the number of its layers if none do."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The bytes that one device needs to train a Whisper."""

    sizes: Dimensions
    weights: Weights
    half: bool
    """True if products are computed in bf16 or fp16, under autocast."""
    checkpointing: bool
    """True if each layer keeps its input only, and is computed again in the backward pass."""
    dropout: bool = False

    @property
    def fixed(self) -> float:
        """Bytes at all times: weights, gradients, the optimiser's state."""
        weights = self.weights
        return weights.trained * (2 * FULL + weights.optimiser_bytes) + weights.frozen_bytes

    def bytes(self, windows: int, seconds: float, tokens: int) -> float:
        """Most bytes at any time of a step.

        Args:
            windows: windows that go through the model together.
            seconds: length of each.
            tokens: label tokens of each, padding included.
        """
        sizes, number = self.sizes, windows * tokens
        positions = windows * seconds * POSITIONS_A_SECOND
        encoder = positions * self._per_position()
        decoder = number * self._per_token(tokens) + positions * self._heard_bytes()
        read = number * (14 if self.half else 16) * sizes.width
        kept = encoder + decoder + read
        embedding = sizes.vocabulary * sizes.width
        # Copies of all weights but the embedding, whose copy the loss makes and drops.
        copies = HALF * max(0, self.weights.copied - embedding) if self.half else 0
        held = 0 if self.checkpointing else copies
        left = max(0, held - HALF * (sizes.decoder_weights - embedding))
        # In turn: the loss of a chunk, at the end of the forward pass, with all copies; the two
        # gradients of the embedding and their sum; the encoder's last layer, with its gradients or
        # its recomputed values; a frozen layer of the encoder in the forward pass.
        moments = (
            copies + kept + self._loss(number),
            left + encoder + 3 * FULL * embedding,
            left + encoder + positions * self._per_layer(),
            left + positions * self._per_frozen_layer(),
        )
        return self.fixed + max(moments)

    def planned(self, windows: int, seconds: float, tokens: int) -> float:
        """Bytes that must be free for it: with a margin for all that comes and goes."""
        return self.fixed + (self.bytes(windows, seconds, tokens) - self.fixed) / SHARE

    def _loss(self, number: int) -> float:
        """Bytes of `whisper_loss.summed_cross_entropy` for so many tokens.

        States and their gradient, the gradient of the embedding, its copy, and for one chunk the
        scores of all ids with the exponentials that their sum takes; later the embedding's gradient
        of a chunk before it is added up.
        """
        sizes, value = self.sizes, HALF if self.half else FULL
        embedding = sizes.vocabulary * sizes.width
        chunk = min(number, CHUNK) * sizes.vocabulary
        copy = value * embedding if self.half else 0
        scores = max(2 * FULL * chunk, value * chunk + copy)
        return 2 * FULL * number * sizes.width + FULL * embedding + copy + scores

    def _per_position(self) -> float:
        """Bytes that the encoder keeps for each of its positions, with its output."""
        sizes = self.sizes
        output = 2 * FULL * sizes.width
        layers = sizes.encoder_layers - self.weights.first_layer
        if not layers:
            return FULL * sizes.width + 2 * FULL * sizes.mels
        each = FULL * sizes.width if self.checkpointing else self._encoder_layer()
        value = HALF if self.half else FULL
        # Two frames a position: the features and, unless the first layers are frozen, the inputs
        # and the outputs of the convolutions and their activations.
        ends = 2 * FULL * sizes.mels
        if not self.weights.first_layer:
            ends += 2 * value * sizes.mels + 6 * value * sizes.width
        return output + layers * each + ends

    def _encoder_layer(self) -> float:
        sizes = self.sizes
        wide, inner = (26, 4) if self.half else (36, 8)
        dropped = 2 * (HALF if self.half else FULL) if self.dropout else 0
        heads = 4 * sizes.encoder_heads + 16
        return (wide + dropped) * sizes.width + inner * sizes.encoder_inner + heads

    def _heard_bytes(self) -> float:
        """Bytes that the decoder keeps for each position of the encoder that it attends to."""
        if self.checkpointing:
            return 0.0
        return 8.0 * self.sizes.width * self.sizes.decoder_layers

    def _per_token(self, tokens: int) -> float:
        """Bytes that the decoder's layers keep for each token of a text."""
        sizes = self.sizes
        if self.checkpointing:
            return FULL * sizes.width * sizes.decoder_layers
        wide, inner = (38, 4) if self.half else (56, 8)
        dropped = 3 * (HALF if self.half else FULL) if self.dropout else 0
        mask = (HALF if self.half else FULL) * tokens + 24
        each = (wide + dropped) * sizes.width + inner * sizes.decoder_inner
        return sizes.decoder_layers * (each + 8 * sizes.decoder_heads + mask)

    def _per_layer(self) -> float:
        """Bytes that the encoder's last layer takes in its backward pass, for each position."""
        sizes = self.sizes
        if self.weights.first_layer == sizes.encoder_layers:
            return 0.0
        if self.checkpointing:
            return self._encoder_layer() + (2 if self.half else 9) * sizes.width
        return (HALF if self.half else FULL) * sizes.encoder_inner + 8 * sizes.width

    def _per_frozen_layer(self) -> float:
        """Bytes that a frozen layer of the encoder takes while it computes, for each position."""
        sizes, value = self.sizes, HALF if self.half else FULL
        if not self.weights.first_layer:
            return 0.0
        return 20 * sizes.width + 2 * value * sizes.encoder_inner + 2 * FULL * sizes.mels


@dataclass(frozen=True, kw_only=True)
class Room:
    """The windows that one device takes at a time."""

    cost: Cost | None = None
    """None if only the seconds count."""
    limit: float = math.inf
    """Bytes for everything, weights included."""
    seconds: float = math.inf
    """Seconds of windows."""

    def holds(self, windows: int, seconds: float, tokens: int) -> bool:
        """True if so many windows, of so many seconds and label tokens each, fit together."""
        if windows * seconds > self.seconds:
            return False
        return self.cost is None or self.cost.planned(windows, seconds, tokens) <= self.limit

    def most(self, seconds: float, tokens: int, *, wanted: int) -> int:
        """Windows that fit together, at most as many as are wanted; 0 if not one fits."""
        low, high = 0, wanted
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.holds(middle, seconds, tokens) else (low, middle - 1)
        return low
