"""A Whisper of whisper-tiny's shape and vocabulary whose texts are known, for speed of decoding.

Random weights write the same token for ever, so these are solved for. Each clip is a chord; the
encoder is random, cross-attention tells the chords apart, and the feed-forward layers hold a Greek
sentence for each. So texts depend on the audio, end where they should, and are the same for every
engine that computes right. A second has 8 tokens, as Greek speech has in Whisper's vocabulary.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from jobrunner.core.models.base import Samples
from jobrunner.core.models.features import LogMel

ROOT = Path(__file__).resolve().parents[1]
MICRO = ROOT / "examples" / "whisper-micro"
TOKENS_A_SECOND = 8
TINY = {
    "vocab_size": 51_865,
    "d_model": 384,
    **{"encoder_layers": 4, "decoder_layers": 4, "num_hidden_layers": 4},
    **{"encoder_attention_heads": 6, "decoder_attention_heads": 6},
    **{"encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536},
    **{"max_source_positions": 1500, "max_target_positions": 448, "dropout": 0.0},
}


def sentences(tokenizer: Any, seconds: Sequence[float], loops: int) -> list[list[int]]:
    """Token ids for each clip, the end included; the last `loops` of them repeat themselves."""
    with (ROOT / "examples" / "speech" / "el" / "metadata.csv").open() as file:
        columns = list(csv.DictReader(file))
    texts = [row.get("sentence") or row.get("transcription") or row["text"] for row in columns]
    wanted = []
    for clip, length in enumerate(seconds):
        text = " ".join(texts[(clip * 3 + part) % len(texts)] for part in range(3))
        ids = tokenizer(text, add_special_tokens=False).input_ids
        wanted.append([*ids[: round(length * TOKENS_A_SECOND)], tokenizer.eos_token_id])
    for place in range(len(wanted) - loops, len(wanted)):
        wanted[place] = (wanted[place][:12] * 40)[:440]
    return wanted


@torch.no_grad()
def make_model(
    folder: Path, sounds: Sequence[Samples], seconds: Sequence[float], loops: int
) -> None:
    """Writes a model of whisper-tiny's shape that answers each chord with its sentence."""
    torch.manual_seed(0)
    base = WhisperForConditionalGeneration.from_pretrained(MICRO)
    config = WhisperConfig(**{**base.config.to_dict(), **TINY})
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = base.generation_config
    model.generation_config.max_length = 448
    model.generation_config.suppress_tokens = None
    model.generation_config.begin_suppress_tokens = None
    tokenizer = transformers.WhisperTokenizer.from_pretrained(MICRO)
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=30)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)
    features = LogMel.of(extractor)
    model.model.encoder.conv1.weight.mul_(10)
    states = torch.cat([model.model.encoder(features(sound)[None])[0].mean(1) for sound in sounds])
    # The start, the language, the task and no timestamps come first.
    Solved(model, states, prompt=4, wanted=sentences(tokenizer, seconds, loops)).write()
    model.save_pretrained(folder)


class Solved:
    """A decoder whose weights are solved for, so that it writes given tokens for given states.

    Args:
        model: of random weights; they are changed in place.
        states: mean of the encoder's states for each clip, (clips, width).
        prompt: number of tokens that the decoder begins with.
        wanted: ids that it must write for each clip.
    """

    def __init__(
        self, model: Any, states: torch.Tensor, *, prompt: int, wanted: list[list[int]]
    ) -> None:
        self._model, self._states, self._wanted = model, states, wanted
        self._first = prompt - 1

    def write(self) -> None:
        """Changes the weights."""
        decoder, width = self._model.model.decoder, self._states.shape[1]
        decoder.embed_tokens.weight.normal_(0, 0.05)
        decoder.embed_positions.weight.normal_(0, 1)
        for layer in decoder.layers:
            for attention in (layer.self_attn, layer.encoder_attn):
                attention.out_proj.weight.zero_()
                attention.out_proj.bias.zero_()
            # Without a query, attention is the mean of what was heard.
            layer.encoder_attn.q_proj.weight.zero_()
            layer.encoder_attn.q_proj.bias.zero_()
            layer.fc1.weight.normal_(0, width**-0.5)
        heard = decoder.layers[0].encoder_attn
        means = heard.v_proj(self._states)
        codes = torch.randn(len(means), width)
        centre = means.mean(0)
        heard.out_proj.weight.copy_(_solve(means - centre, codes, 1e-6).T)
        heard.out_proj.bias.copy_(-heard.out_proj.weight @ centre)
        clips = [clip for clip, ids in enumerate(self._wanted) for _ in ids]
        places = [self._first + place for ids in self._wanted for place in range(len(ids))]
        hidden = heard.out_proj(means)[clips] + decoder.embed_positions.weight[places]
        targets = decoder.embed_tokens.weight[[id_ for ids in self._wanted for id_ in ids]]
        targets = 40 * torch.nn.functional.normalize(targets)
        for layer in decoder.layers:
            inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
            layer.fc2.weight.copy_(_solve(inner, targets - hidden, 1e-2).T)
            layer.fc2.bias.zero_()
            hidden = hidden + layer.fc2(inner)


def _solve(inputs: torch.Tensor, outputs: torch.Tensor, ridge: float) -> torch.Tensor:
    """Least squares with a penalty: W of inputs @ W ≈ outputs."""
    inputs, outputs = inputs.double(), outputs.double()
    square = inputs.T @ inputs
    square += ridge * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    solved: torch.Tensor = torch.linalg.solve(square, inputs.T @ outputs)
    return solved.float()
