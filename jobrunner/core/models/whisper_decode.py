"""Greedy decoding of a Whisper: the texts of `generate`, without the work that it repeats.

A clip leaves the batch when its text ends, so that one long text does not make the others wait. The
encoder's keys and values are computed once, the vocabulary is scored for the last token only, and
no text gets longer than its audio allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention as attend

from jobrunner.catalog.languages import Language
from jobrunner.core.models.base import CHARACTERS_A_SECOND

# New tokens besides those of the speech: punctuation, a number that is written out, the end.
_SPARE = 24
# Bytes of a letter in UTF-8, by script; 3 in all others.
_BYTES = {"Latn": 1, "Grek": 2, "Cyrl": 2, "Arab": 2, "Hebr": 2, "Armn": 2, "Adlm": 4}


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Clips as the model hears them."""

    features: torch.Tensor
    """(clips, mels, frames), float32; each clip is padded to a window."""
    seconds: tuple[float, ...]
    """Length of each clip without padding."""

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, clips: slice) -> Heard:
        return Heard(features=self.features[clips], seconds=self.seconds[clips])


@dataclass(frozen=True, kw_only=True)
class Written:
    """Tokens that the model writes for one clip."""

    ids: list[int]
    """Tokens after the prompt, without the end."""
    score: float
    """Mean log-probability of its tokens and of its end, in nats."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Tokens that a text begins and ends with, those that it may not have, and its length."""

    prompt: tuple[int, ...]
    """Tokens that the decoder reads before it writes."""
    end: int
    """Token that ends a text."""
    never: tuple[int, ...]
    """Tokens that are not written."""
    never_first: tuple[int, ...]
    """Tokens that a text does not begin with."""
    most: int
    """Most new tokens of any text."""
    rate: float
    """Most new tokens a second of audio, besides a few spare ones."""

    def limits(self, seconds: Sequence[float]) -> list[int]:
        """Most new tokens of each clip."""
        return [min(self.most, _SPARE + math.ceil(self.rate * each)) for each in seconds]


def rules_of(model: Any, prompt: Sequence[int], end: int, language: Language) -> Rules:
    """The rules that `generate` takes from a model's generation config, and the rate of a language.

    Args:
        model: a `WhisperForConditionalGeneration`.
        prompt: the tokens that its decoder begins with.
        end: the token that ends a text.
        language: the language that it writes.
    """
    generation, positions = model.generation_config, int(model.config.max_target_positions)
    if generation.max_new_tokens is not None:
        most = int(generation.max_new_tokens)
    else:
        # `generate` counts new tokens only, as long as the prompt is a short one.
        most = int(generation.max_length or positions)
    return Rules(
        prompt=tuple(prompt),
        end=end,
        never=tuple(generation.suppress_tokens or ()),
        never_first=tuple(generation.begin_suppress_tokens or ()),
        most=min(most, positions - len(prompt)),
        rate=token_rate(language),
    )


def token_rate(language: Language) -> float:
    """Most tokens that a second of speech in a language can have.

    A token of a byte-level vocabulary holds at least one byte. Of what is rarely merged (Burmese,
    Tibetan, Amharic) it holds no more, so bytes are the limit there.
    """
    sizes = [_BYTES.get(script, 3) for script in language.scripts]
    return CHARACTERS_A_SECOND * float(max(sizes, default=3))


@torch.inference_mode()
def greedy(model: Any, heard: Heard, rules: Rules) -> list[Written]:
    """The most probable token after each token, until the end.

    Args:
        model: a `WhisperForConditionalGeneration` in evaluation mode.
        heard: at least one clip.
        rules: from `rules_of`.
    """
    limits = rules.limits(heard.seconds)
    batch = _Batch(model, heard.features, room=len(rules.prompt) + max(limits))
    device = model.device
    never = torch.tensor(rules.never, dtype=torch.int64, device=device)
    never_first = torch.tensor(rules.never_first, dtype=torch.int64, device=device)
    ids: list[list[int]] = [[] for _ in heard.seconds]
    sums = [0.0] * len(heard)
    # The clip of each row that is left in the batch.
    clips = list(range(len(heard)))
    read = torch.tensor([rules.prompt] * len(clips), device=device)
    while clips:
        logits = batch.step(read)
        logits[:, never] = -math.inf
        if not ids[clips[0]]:
            logits[:, never_first] = -math.inf
        best, chosen = logits.max(dim=-1)
        gained = (best - logits.logsumexp(dim=-1)).tolist()
        tokens: list[int] = chosen.tolist()
        for clip, token, gain in zip(clips, tokens, gained, strict=True):
            ids[clip].append(token)
            sums[clip] += gain
        goes_on = [
            token != rules.end and len(ids[clip]) < limits[clip]
            for clip, token in zip(clips, tokens, strict=True)
        ]
        rows = batch.keep(goes_on)
        clips = [clips[row] for row in rows]
        read = torch.tensor([[tokens[row]] for row in rows], device=device)
    return [
        Written(ids=[id_ for id_ in each if id_ != rules.end], score=total / max(1, len(each)))
        for each, total in zip(ids, sums, strict=True)
    ]


class _Memory:
    """Keys and values of one decoder layer, (rows, heads, tokens or frames, size) each."""

    def __init__(self, layer: Any, states: Sequence[torch.Tensor], room: int) -> None:
        cross = layer.encoder_attn
        self.heard = [
            torch.cat([_heads(cross, project(each)) for each in states])
            for project in (cross.k_proj, cross.v_proj)
        ]
        rows, heads, _, size = self.heard[0].shape
        self.written = [self.heard[0].new_empty(rows, heads, room, size) for _ in range(2)]

    def tensors(self) -> Iterator[tuple[list[torch.Tensor], int]]:
        """Each tensor, as the list that holds it and its place there."""
        for holder in (self.heard, self.written):
            for place in range(len(holder)):
                yield holder, place


class _Batch:
    """Clips that are decoded together, each a row, and what the decoder remembers of them.

    Args:
        model: the `WhisperForConditionalGeneration`.
        features: of the clips, (clips, mels, frames).
        room: most tokens of a row, the prompt included.
    """

    def __init__(self, model: Any, features: torch.Tensor, *, room: int) -> None:
        self._decoder, self._project = model.model.decoder, model.proj_out
        self._length = 0
        # One window at a time where nothing is gained by more: a third faster on a CPU, whose cache
        # it fits, and a clip's states do not depend on its company.
        together = 1 if model.device.type == "cpu" else len(features)
        states = [
            model.model.encoder(
                features[row : row + together].to(model.device, model.dtype)
            ).last_hidden_state
            for row in range(0, len(features), together)
        ]
        self._memories = [_Memory(layer, states, room) for layer in self._decoder.layers]

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (rows, vocabulary) after the tokens (rows, tokens) that are read next, float32."""
        decoder, start = self._decoder, self._length
        self._length += ids.shape[1]
        hidden = decoder.embed_tokens(ids) + decoder.embed_positions.weight[start : self._length]
        for layer, memory in zip(decoder.layers, self._memories, strict=True):
            hidden = hidden + self._recall(layer, layer.self_attn_layer_norm(hidden), memory, start)
            asked = layer.encoder_attn_layer_norm(hidden)
            hidden = hidden + _attention(layer.encoder_attn, asked, *memory.heard)
            inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
            hidden = hidden + layer.fc2(inner)
        logits: torch.Tensor = self._project(decoder.layer_norm(hidden[:, -1]))
        return logits.float()

    def _recall(
        self, layer: Any, hidden: torch.Tensor, memory: _Memory, start: int
    ) -> torch.Tensor:
        """Self-attention of new tokens, which join the memory."""
        own = layer.self_attn
        for written, project in zip(memory.written, (own.k_proj, own.v_proj), strict=True):
            written[:, :, start : self._length] = _heads(own, project(hidden))
        keys, values = (written[:, :, : self._length] for written in memory.written)
        # A single token may look at everything; several are the prompt, which starts the memory.
        return _attention(own, hidden, keys, values, causal=hidden.shape[1] > 1)

    def keep(self, wanted: Sequence[bool]) -> list[int]:
        """Drops the other rows; returns the old place of each row that is left.

        The last rows move to the places that become free, so that little is copied.
        """
        left = sum(wanted)
        rows = list(range(left))
        holes = [row for row in range(left) if not wanted[row]]
        movers = [row for row in range(left, len(wanted)) if wanted[row]]
        for hole, mover in zip(holes, movers, strict=True):
            rows[hole] = mover
        for memory in self._memories:
            for holder, place in memory.tensors():
                tensor = holder[place]
                for hole, mover in zip(holes, movers, strict=True):
                    tensor[hole] = tensor[mover]
                holder[place] = tensor[:left]
        return rows


def _heads(attention: Any, states: torch.Tensor) -> torch.Tensor:
    """(rows, tokens, width) → (rows, heads, tokens, size)."""
    rows, tokens, _ = states.shape
    split = states.view(rows, tokens, attention.num_heads, attention.head_dim)
    return split.transpose(1, 2).contiguous()


def _attention(
    attention: Any,
    hidden: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    *,
    causal: bool = False,
) -> torch.Tensor:
    """Attention of hidden states (rows, tokens, width); scaled where Whisper's own code does."""
    queries = _heads(attention, attention.q_proj(hidden) * attention.scaling)
    found = attend(queries, keys, values, is_causal=causal, scale=1.0)
    output: torch.Tensor = attention.out_proj(found.transpose(1, 2).flatten(2))
    return output
