"""The weights of a model by name, from its config.json alone: no torch, and no file of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Shapes = dict[str, tuple[int, ...]]


def of_whisper(config: Mapping[str, Any]) -> Shapes:
    """Name → shape of every weight of a Whisper, in transformers' names; tied ones once.

    Args:
        config: the numbers of its config.json.
    """
    width, vocabulary = int(config["d_model"]), int(config["vocab_size"])
    shapes: Shapes = {}
    for side, norms, attentions in (
        ("encoder", ("self_attn", "final"), ("self_attn",)),
        ("decoder", ("self_attn", "encoder_attn", "final"), ("self_attn", "encoder_attn")),
    ):
        at = f"model.{side}"
        if side == "encoder":
            shapes |= _affine(f"{at}.conv1", (width, int(config["num_mel_bins"]), 3))
            shapes |= _affine(f"{at}.conv2", (width, width, 3))
            shapes[f"{at}.embed_positions.weight"] = (int(config["max_source_positions"]), width)
        else:
            shapes[f"{at}.embed_tokens.weight"] = (vocabulary, width)
            shapes[f"{at}.embed_positions.weight"] = (int(config["max_target_positions"]), width)
        wide = int(config[f"{side}_ffn_dim"])
        for layer in range(int(config[f"{side}_layers"])):
            inside = f"{at}.layers.{layer}"
            for attention in attentions:
                shapes |= dict(_attention(f"{inside}.{attention}", width))
            for norm in norms:
                shapes |= _affine(f"{inside}.{norm}_layer_norm", (width,))
            shapes |= _affine(f"{inside}.fc1", (wide, width))
            shapes |= _affine(f"{inside}.fc2", (width, wide))
        shapes |= _affine(f"{at}.layer_norm", (width,))
    return shapes


def _attention(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The four products of an attention; that of the keys has no bias."""
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        found = _affine(f"{name}.{part}", (width, width))
        yield from ((key, shape) for key, shape in found.items() if key != f"{name}.k_proj.bias")


def _affine(name: str, shape: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def layers(shapes: Shapes) -> set[str]:
    """Names of the linear layers and convolutions: all matrices but embeddings."""
    names = (name.removesuffix(".weight") for name, shape in shapes.items() if len(shape) > 1)
    return {name for name in names if ".embed_" not in name}
