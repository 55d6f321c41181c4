"""Whisper's encoder for windows that are shorter than the model's own.

The encoder of transformers takes whole windows only. Its weights fit any length: the convolutions
slide, and positions are counted from the window's start.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import dropout, gelu
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperEncoder


class CroppedEncoder(WhisperEncoder):  # type: ignore[misc]
    """An encoder of windows of any even number of frames, up to a whole one.

    A whole window takes the way of transformers, and has its result bit for bit.
    """

    def forward(
        self, input_features: torch.Tensor, attention_mask: Any = None, **options: Any
    ) -> BaseModelOutput:
        """States (windows, frames / 2, width) of features (windows, mels, frames)."""
        whole = self.max_source_positions * self.conv1.stride[0] * self.conv2.stride[0]
        if input_features.shape[-1] >= whole:
            return super().forward(input_features, attention_mask, **options)
        states = gelu(self.conv2(gelu(self.conv1(input_features)))).permute(0, 2, 1)
        states = states + self.embed_positions.weight[: states.shape[1]]
        states = dropout(states, p=self.dropout, training=self.training)
        for layer in self.layers:
            if self.training and self.layerdrop and torch.rand([]) < self.layerdrop:
                continue
            states = layer(states, None, **options)
        return BaseModelOutput(last_hidden_state=self.layer_norm(states))


def let_crop(model: Any) -> None:
    """Makes the encoder of a `WhisperForConditionalGeneration` take cropped windows as well."""
    model.model.encoder.__class__ = CroppedEncoder
