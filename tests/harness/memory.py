"""The memory of a step, counted from the tensors that it makes; no number is computed.

Every operation of forward and backward pass runs on fake tensors, which have shapes, types and
storages, but no values. A storage counts once, from the operation that makes it until nothing
refers to it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import WhisperConfig

from jobrunner.catalog.dimensions import Dimensions
from jobrunner.core.models.frozen import lower
from jobrunner.core.models.whisper_activations import recompute
from jobrunner.core.models.whisper_loss import ScoringWhisper


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of all storages that live, and the most so far."""

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._bytes = {tensor.untyped_storage()._cdata: 0 for tensor in known}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.logsumexp.default:
            # Its kernel makes the exponentials of all it is given, which no operation shows.
            self.peak = max(self.peak, self.now + args[0].nbytes)
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor)
        return result

    def count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._bytes:
            return
        self._bytes[storage._cdata] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, storage._cdata)

    def _forget(self, key: int) -> None:
        self.now -= self._bytes.pop(key)


def config_of(sizes: Dimensions) -> WhisperConfig:
    """The config of a Whisper of these dimensions."""
    return WhisperConfig(
        d_model=sizes.width,
        encoder_layers=sizes.encoder_layers,
        decoder_layers=sizes.decoder_layers,
        encoder_attention_heads=sizes.encoder_heads,
        decoder_attention_heads=sizes.decoder_heads,
        encoder_ffn_dim=sizes.encoder_inner,
        decoder_ffn_dim=sizes.decoder_inner,
        vocab_size=sizes.vocabulary,
        num_mel_bins=sizes.mels,
        max_source_positions=sizes.positions,
        max_target_positions=sizes.tokens,
    )


def bytes_of_step(
    sizes: Dimensions,
    *,
    windows: int,
    tokens: int,
    half: bool,
    checkpointing: bool,
    frozen: int | None = None,
    dropout: float = 0.0,
) -> int:
    """Most bytes during forward and backward pass; weights and gradients are there before.

    Args:
        sizes: dimensions of the model.
        windows: windows that go through it together.
        tokens: label tokens of each.
        half: computes products in bf16, under autocast.
        checkpointing: computes the layers again in the backward pass.
        frozen: number of the encoder's layers that are frozen; all of the encoder if it is -1.
        dropout: dropout.
    """
    with FakeTensorMode():
        config = config_of(sizes)
        config.dropout = dropout
        model: Any = ScoringWhisper._from_config(config, attn_implementation="sdpa").train()
        # As `from_pretrained` leaves it: it trains the encoder's positions too.
        model.requires_grad_(True)
        _freeze(model, frozen)
        if half:
            lower(model, torch.bfloat16)
        if checkpointing:
            recompute(model)
        trained = [each for each in model.parameters() if each.requires_grad]
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
        gradients = [each.grad for each in trained if each.grad is not None]
        features = torch.empty(windows, sizes.mels, 2 * sizes.positions)
        inputs = torch.zeros(windows, tokens, dtype=torch.long)
        living = _Living([*model.parameters(), *model.buffers(), *gradients])
        living.count(features)
        forward = convert_outputs_to_fp32(
            torch.autocast("cpu", torch.bfloat16, enabled=half)(model.forward)
        )
        with living:
            loss = forward(
                input_features=features,
                decoder_input_ids=inputs,
                targets=inputs.flatten(),
                places=torch.arange(inputs.numel()),
            )
            torch.autograd.backward(loss)
        static: int = sum(each.nbytes for each in [*model.parameters(), *gradients])
    return living.peak + static


def _freeze(model: Any, layers: int | None) -> None:
    if layers == -1:
        model.freeze_encoder()
    elif layers:
        encoder = model.model.encoder
        for part in (
            encoder.conv1,
            encoder.conv2,
            encoder.embed_positions,
            *encoder.layers[:layers],
        ):
            part.requires_grad_(False)
