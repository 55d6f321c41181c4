"""Activation checkpointing: layers keep their inputs only, and are computed again for gradients."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from jobrunner.spec.memory import FULL, Weights


def recompute(model: Any) -> int:
    """Makes each layer that gradients pass compute its values twice; returns their number.

    A layer that they do not reach keeps nothing, so it is left as it is: one that is frozen, like
    all before it. The random numbers of dropout are those of the first time.

    Args:
        model: a `WhisperForConditionalGeneration` with its frozen parts.
    """
    encoder, decoder = model.model.encoder, model.model.decoder
    first = first_layer(encoder)
    heard = first < len(encoder.layers) or _trained(encoder.layer_norm)
    reached = [*encoder.layers[first:], *_reached(decoder, heard)]
    model.activation_checkpointing_enable()
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.gradient_checkpointing = any(layer is each for each in reached)
    return len(reached)


def weights_of(model: Any) -> Weights:
    """The weights of a `WhisperForConditionalGeneration` by what is frozen in it."""
    encoder = model.model.encoder
    first = first_layer(encoder)
    every = list(model.parameters())
    passed = list(model.model.decoder.parameters())
    passed += [each for layer in encoder.layers[first:] for each in layer.parameters()]
    if not first:
        passed += [*encoder.conv1.parameters(), *encoder.conv2.parameters()]
    return Weights(
        trained=sum(each.numel() for each in every if each.requires_grad),
        frozen_bytes=sum(each.nbytes for each in every if not each.requires_grad),
        copied=sum(each.numel() for each in passed if each.element_size() == FULL),
        first_layer=first,
    )


def first_layer(part: Any) -> int:
    """First layer of an encoder or decoder that gradients reach; their number if none do."""
    layers = len(part.layers)
    if any(_trained(each) for name, each in part.named_children() if _is_first(name)):
        return 0
    return next((place for place in range(layers) if _trained(part.layers[place])), layers)


def _is_first(name: str) -> bool:
    """True for what comes before the layers, not for the layers and the norm after them."""
    return name.startswith(("conv", "embed"))


def _reached(decoder: Any, heard: bool) -> list[nn.Module]:
    return list(decoder.layers if heard else decoder.layers[first_layer(decoder) :])


def _trained(part: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in part.parameters())
