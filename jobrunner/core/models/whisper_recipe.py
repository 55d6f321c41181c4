"""Whisper's recipe: turns clips into windows of features and labels.

Lengths come from the model's own folder (window from the feature extractor, label tokens from the
config), so a Whisper of another size works like the published ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from jobrunner.catalog import languages
from jobrunner.catalog.languages import Language
from jobrunner.core.data.layout import Utterance
from jobrunner.core.models.base import Samples
from jobrunner.core.models.features import LogMel
from jobrunner.core.models.windows import Limits, Measure, WindowPacking
from jobrunner.errors import UsageError
from jobrunner.spec import RunSpec
from jobrunner.spec.memory import Room

# Labels that the loss leaves out (torch's own default).
IGNORED = -100
TASKS = ("transcribe", "translate")
DROPS = {"over_window": "over the window", "over_tokens": "over the token limit"}


@dataclass(frozen=True, kw_only=True)
class Window:
    """One item: the encoder's input, the decoder's input, and the labels."""

    features: torch.Tensor
    """Log-mel features (mels, frames), float32."""
    inputs: npt.NDArray[np.int64]
    """Token ids (tokens,) that the decoder reads, starting with the prompt or the start token."""
    labels: npt.NDArray[np.int64]
    """Token ids (tokens,) that it must write; `IGNORED` where it only reads."""


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Windows that go through the model together."""

    features: torch.Tensor
    """(windows, mels, frames), float32."""
    inputs: torch.Tensor
    """(windows, tokens), int64."""
    labels: torch.Tensor
    """(windows, tokens), int64; `IGNORED` where nothing is learnt."""
    weight: float
    """Label tokens."""

    @property
    def nbytes(self) -> int:
        return self.features.nbytes + self.inputs.nbytes + self.labels.nbytes

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, end: int) -> WindowBatch:
        part = self._mapped(lambda tensor: tensor[start:end])
        return replace(part, weight=int((part.labels != IGNORED).sum()))

    def pin_memory(self) -> WindowBatch:
        return self._mapped(torch.Tensor.pin_memory)

    def to(self, device: torch.device) -> WindowBatch:
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def _mapped(self, change: Any) -> WindowBatch:
        return WindowBatch(
            features=change(self.features),
            inputs=change(self.inputs),
            labels=change(self.labels),
            weight=self.weight,
        )


class WhisperRecipe:
    """Makes windows with labels, each in the language and task of its clips.

    Args:
        tokenizer: the model's tokenizer.
        extractor: its feature extractor.
        positions: most tokens that its decoder can read.
        start: id of the token that decoding starts with.
        multilingual: False for a model that has no language tokens and needs none.
    """

    def __init__(
        self, tokenizer: Any, extractor: Any, *, positions: int, start: int, multilingual: bool
    ) -> None:
        self.features = LogMel.of(extractor)
        self._tokenizer = tokenizer
        self._known: dict[str, int] = tokenizer.get_added_vocab()
        self._positions = positions
        self._start = start
        self._multilingual = multilingual

    @property
    def rate(self) -> int:
        return self.features.rate

    @property
    def longest_seconds(self) -> float:
        return self.features.samples / self.features.rate

    @property
    def drops(self) -> Mapping[str, str]:
        return DROPS

    def head(self, language: str, task: str) -> list[int]:
        """Ids that labels begin with: language, task, no timestamps; without the start token.

        Raises:
            UsageError: the model has no token for the language.
        """
        silent = self._known.get("<|notimestamps|>")
        ending = [] if silent is None else [silent]
        if not self._multilingual:
            return ending
        spoken = languages.find(language)
        token = f"<|{spoken.whisper_code}|>"
        if spoken.whisper_code is None or token not in self._known:
            raise UsageError(
                f"The model has no token for {spoken.name} ({spoken.code}).", hint=_others(spoken)
            )
        return [self._known[token], self._known[f"<|{task}|>"], *ending]

    def measure(self, clips: Sequence[Utterance]) -> list[Any]:
        first = self._ids([clip.text for clip in clips])
        following = self._ids([_separator(clip) + clip.text for clip in clips])
        # Set before workers are forked: the library warns of a fork after its threads were used.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        return [
            self._measure(clip, len(ids), len(next_ids))
            for clip, ids, next_ids in zip(clips, first, following, strict=True)
        ]

    def _measure(self, clip: Utterance, first: int, following: int) -> Measure | str:
        prompt = len(self._prompt(clip))
        if clip.seconds > self.longest_seconds:
            return "over_window"
        if prompt + self._overhead(clip) + first > self._positions:
            return "over_tokens"
        alone = not clip.speaker or bool(clip.prompt)
        return Measure(
            samples=round(clip.seconds * self.rate),
            first_tokens=first,
            next_tokens=following,
            prompt_tokens=prompt,
            company=None if alone else (clip.language, clip.task, clip.speaker),
        )

    def packing(
        self, clips: Sequence[Utterance], measures: Sequence[Any], spec: RunSpec, room: Room
    ) -> WindowPacking:
        rate = self.rate
        limits = Limits(
            samples=self.features.samples,
            tokens=self._positions,
            overhead_tokens=self._overhead(clips[0]),
        )
        return WindowPacking(
            measures,
            limits,
            rate=rate,
            fits=lambda windows, samples, tokens: room.holds(windows, samples / rate, tokens),
            pack_probability=spec.train.pack_probability,
        )

    def item(self, clips: Sequence[Utterance], sounds: Sequence[Samples]) -> Window:
        first, *following = clips
        text = self._ids([first.text, *(_separator(clip) + clip.text for clip in following)])
        head = self.head(first.language, first.task)
        written = [*head, *(id_ for ids in text for id_ in ids), self._tokenizer.eos_token_id]
        read = self._prompt(first)
        return Window(
            features=self.features(np.concatenate(sounds)),
            inputs=np.array([*read, self._start, *written[:-1]], dtype=np.int64),
            labels=np.array([*[IGNORED] * len(read), *written], dtype=np.int64),
        )

    def collate(self, items: Sequence[Window]) -> WindowBatch:
        shape = len(items), max(len(item.labels) for item in items)
        # Labels that count never attend to the padding after a window's end.
        inputs = np.full(shape, self._tokenizer.pad_token_id, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        for row, item in enumerate(items):
            inputs[row, : len(item.inputs)] = item.inputs
            labels[row, : len(item.labels)] = item.labels
        return WindowBatch(
            features=torch.stack([item.features for item in items]),
            inputs=torch.from_numpy(inputs),
            labels=torch.from_numpy(labels),
            weight=int((labels != IGNORED).sum()),
        )

    def listen(self, sounds: Sequence[Samples]) -> torch.Tensor:
        """Features (clips, mels, frames), each clip padded to a window."""
        return torch.stack([self.features(clip) for clip in sounds])

    def _overhead(self, clip: Utterance) -> int:
        """Label tokens of a window besides its text."""
        return len(self.head(clip.language, clip.task)) + 1

    def _prompt(self, clip: Utterance) -> list[int]:
        """Tokens before the start token: the end of the prompt, at most half of the positions, as
        in Whisper's own code."""
        if not clip.prompt:
            return []
        [ids] = self._ids([f" {clip.prompt.strip()}"])
        return [self._known["<|startofprev|>"], *ids[-(self._positions // 2 - 1) :]]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text. The tokenizer splits words before their space, so the ids of
        consecutive texts are those of the joined text."""
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False).input_ids
        return ids


def _separator(clip: Utterance) -> str:
    """Separator before a text that follows another in its window."""
    return " " if languages.find(clip.language).unit == "words" else ""


def _others(language: Language) -> str:
    if language.code == "yue":
        return "whisper-large-v3 and whisper-turbo have one."
    return "`jobrunner languages` shows which languages Whisper knows."
