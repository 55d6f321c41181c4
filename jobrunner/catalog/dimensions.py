"""Dimensions of the presets, and of any Whisper by its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# Positions of the encoder for one second of sound: frames of 10 ms, of which two make a position.
POSITIONS_A_SECOND = 50


# Fields of `Dimensions` → names in a config.json.
_NAMES = {
    "width": "d_model",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "encoder_heads": "encoder_attention_heads",
    "decoder_heads": "decoder_attention_heads",
    "encoder_inner": "encoder_ffn_dim",
    "decoder_inner": "decoder_ffn_dim",
    "vocabulary": "vocab_size",
    "mels": "num_mel_bins",
    "positions": "max_source_positions",
    "tokens": "max_target_positions",
}


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """The numbers in a Whisper's config that decide how large it is."""

    width: int
    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    encoder_inner: int
    """Width between the two linear maps of an encoder layer."""
    decoder_inner: int
    vocabulary: int
    mels: int
    positions: int
    """Positions of the encoder for a whole window."""
    tokens: int
    """Most tokens that the decoder reads."""

    @property
    def config(self) -> dict[str, int]:
        """The numbers by their names in a config.json, as `of_config` reads them."""
        return {name: getattr(self, field) for field, name in _NAMES.items()}

    @property
    def seconds(self) -> float:
        """Length of a window."""
        return self.positions / POSITIONS_A_SECOND

    @property
    def encoder_weights(self) -> int:
        """Number of weights of the encoder, its fixed positions included."""
        width, inner = self.width, self.encoder_inner
        convolutions = 3 * width * (self.mels + width) + 2 * width
        layer = 4 * width**2 + 3 * width + _between(width, inner) + 2 * 2 * width
        return convolutions + self.positions * width + self.encoder_layers * layer + 2 * width

    @property
    def decoder_weights(self) -> int:
        """Number of weights of the decoder; the embedding is its last layer, and counts once."""
        width, inner = self.width, self.decoder_inner
        layer = 2 * (4 * width**2 + 3 * width) + _between(width, inner) + 3 * 2 * width
        ends = self.vocabulary * width + self.tokens * width + 2 * width
        return ends + self.decoder_layers * layer

    @property
    def weights(self) -> int:
        """Number of all weights."""
        return self.encoder_weights + self.decoder_weights


def _between(width: int, inner: int) -> int:
    return 2 * width * inner + inner + width


def of_config(config: Mapping[str, Any]) -> Dimensions:
    """Dimensions by the content of a config.json.

    Raises:
        KeyError: a number is missing.
    """
    return Dimensions(**{field: config[name] for field, name in _NAMES.items()})


def _whisper(width: int, encoder: int, decoder: int, *, large_v3: bool = False) -> Dimensions:
    """A published size: heads of 64, and four times the width within a layer."""
    return Dimensions(
        width=width,
        encoder_layers=encoder,
        decoder_layers=decoder,
        encoder_heads=width // 64,
        decoder_heads=width // 64,
        encoder_inner=4 * width,
        decoder_inner=4 * width,
        vocabulary=51_866 if large_v3 else 51_865,
        mels=128 if large_v3 else 80,
        positions=1500,
        tokens=448,
    )


_SIZES = {
    "tiny": _whisper(384, 4, 4),
    "base": _whisper(512, 6, 6),
    "small": _whisper(768, 12, 12),
    "medium": _whisper(1024, 24, 24),
}
_ALL = {
    **_SIZES,
    # The English-only models have one token less.
    **{f"{name}.en": replace(size, vocabulary=51_864) for name, size in _SIZES.items()},
    "large": _whisper(1280, 32, 32),
    "large-v2": _whisper(1280, 32, 32),
    "large-v3": _whisper(1280, 32, 32, large_v3=True),
    "turbo": _whisper(1280, 32, 4, large_v3=True),
}
# By the name of the preset.
DIMENSIONS: dict[str, Dimensions] = {f"whisper-{name}": size for name, size in _ALL.items()}
