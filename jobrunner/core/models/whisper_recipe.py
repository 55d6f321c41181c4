"""Whisper's recipe: turns clips into windows of features and labels.

Lengths come from the model's own folder (window from the feature extractor, label tokens from the
config), so a Whisper of another size works like the published ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from jobrunner.catalog import languages
from jobrunner.catalog.languages import Language
from jobrunner.core.data.layout import Utterance
from jobrunner.core.models.base import Samples, Unit
from jobrunner.core.models.features import LogMel
from jobrunner.core.models.timestamps import Stamps, joined, placed
from jobrunner.core.models.whisper_decode import Heard
from jobrunner.core.models.windows import Limits, Measure, WindowPacking, fits_seconds
from jobrunner.errors import UsageError
from jobrunner.spec import RunSpec

# Labels that the loss leaves out (torch's own default).
IGNORED = -100
TASKS = ("transcribe", "translate")
DROPS = {"over_window": "over the window", "over_tokens": "over the token limit"}


@dataclass(frozen=True, kw_only=True)
class Window:
    """One item: the encoder's input, the decoder's input, and the labels."""

    features: torch.Tensor
    """Log-mel features (mels, frames), float32; or the audio (samples,), int16, of which a device
    computes them."""
    inputs: npt.NDArray[np.int64]
    """Token ids (tokens,) that the decoder reads, starting with the prompt or the start token."""
    labels: npt.NDArray[np.int64]
    """Token ids (tokens,) that it must write; `IGNORED` where it only reads."""
    heard: int
    """Frames that hold audio, from the first on."""


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Windows that go through the model together."""

    features: torch.Tensor
    """(windows, mels, frames), float32; or the audio (windows, samples), int16."""
    inputs: torch.Tensor
    """(windows, tokens), int64."""
    labels: torch.Tensor
    """(windows, tokens), int64; `IGNORED` where nothing is learnt."""
    heard: torch.Tensor
    """(windows,), int64: frames that hold audio, from the first on."""
    weight: float
    """Label tokens."""
    places: torch.Tensor | None = None
    """Positions in the flattened labels of those that count, int64; found when needed if None.
    A device could give their number only by waiting for all of its work."""

    def pin_memory(self) -> WindowBatch:
        return self._mapped(torch.Tensor.pin_memory)

    def to(self, device: torch.device) -> WindowBatch:
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def _mapped(self, change: Any) -> WindowBatch:
        return WindowBatch(
            features=change(self.features),
            inputs=change(self.inputs),
            labels=change(self.labels),
            heard=change(self.heard),
            weight=self.weight,
            places=None if self.places is None else change(self.places),
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
        self.for_device = False
        """True if items hold audio, and a GPU computes features of whole batches."""
        self._tokenizer = tokenizer
        self._known: dict[str, int] = tokenizer.get_added_vocab()
        silent = self._known.get("<|notimestamps|>")
        self._silent = [] if silent is None else [silent]
        self._stamps = Stamps(self._known, self.features.samples / self.features.rate)
        self._special = re.compile("|".join(map(re.escape, self._known)) or r"(?!)")
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
        if not self._multilingual:
            return self._silent
        spoken = languages.find(language)
        token = f"<|{spoken.whisper_code}|>"
        if spoken.whisper_code is None or token not in self._known:
            raise UsageError(
                f"The model has no token for {spoken.name} ({spoken.code}).", hint=_others(spoken)
            )
        return [self._known[token], self._known[f"<|{task}|>"], *self._silent]

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
        return Measure(
            samples=round(clip.seconds * self.rate),
            first_tokens=first,
            next_tokens=following,
            prompt_tokens=prompt,
            company=None if clip.prompt else (clip.language, clip.task),
            speaker=clip.speaker,
        )

    def packing(
        self, clips: Sequence[Utterance], measures: Sequence[Any], spec: RunSpec
    ) -> WindowPacking:
        if spec.train.timestamps:
            self._stamps.check()
        return WindowPacking(
            measures,
            self._limits(clips[0]),
            rate=self.rate,
            fits=fits_seconds(spec.resources.device_seconds, self.rate),
            pack=spec.train.pack,
            pack_probability=spec.train.pack_probability,
            timed_share=spec.train.timestamps,
        )

    def _limits(self, clip: Utterance) -> Limits:
        overhead = self._overhead(clip)
        return Limits(
            samples=self.features.samples,
            tokens=self._positions,
            overhead_tokens=overhead,
            timed_overhead_tokens=overhead - len(self._silent),
            # The encoder makes one position of two frames.
            grain=2 * self.features.hop,
        )

    def item(
        self, clips: Sequence[Utterance], sounds: Sequence[Samples], unit: Unit | None = None
    ) -> Window:
        first = clips[0]
        written = [*self._written(clips, sounds, unit), self._tokenizer.eos_token_id]
        read = self._prompt(first)
        sound = joined(sounds, self.rate)
        frames = unit.shape // self.features.hop if unit and unit.shape else self.features.frames
        return Window(
            # Those of the whole window: what is cut off is silence.
            features=(
                self.features.as_int16(sound, frames)
                if self.for_device
                else self.features(sound)[:, :frames]
            ),
            inputs=np.array([*read, self._start, *written[:-1]], dtype=np.int64),
            labels=np.array([*[IGNORED] * len(read), *written], dtype=np.int64),
            heard=min(frames, -(-len(sound) // self.features.hop)),
        )

    def _written(
        self, clips: Sequence[Utterance], sounds: Sequence[Samples], unit: Unit | None
    ) -> list[int]:
        """Labels of a window without its end."""
        head = self.head(clips[0].language, clips[0].task)
        first, *following = clips
        after = [_separator(clip) + clip.text for clip in following]
        if unit is None or not unit.timed:
            return [*head, *(id_ for ids in self._ids([first.text, *after]) for id_ in ids)]
        texts = self._ids([_separator(first) + first.text, *after])
        spans = placed([len(sound) for sound in sounds], self.rate)
        timed = [
            id_
            for ids, (start, end) in zip(texts, spans, strict=True)
            for id_ in (self._stamps.at(start), *ids, self._stamps.at(end))
        ]
        return [*(id_ for id_ in head if id_ not in self._silent), *timed]

    def collate(self, items: Sequence[Window]) -> WindowBatch:
        shape = len(items), max(len(item.labels) for item in items)
        # Labels that count never attend to the padding after a window's end.
        inputs = np.full(shape, self._tokenizer.pad_token_id, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        for row, item in enumerate(items):
            inputs[row, : len(item.inputs)] = item.inputs
            labels[row, : len(item.labels)] = item.labels
        places = places_of(torch.from_numpy(labels))
        return WindowBatch(
            features=torch.stack([item.features for item in items]),
            inputs=torch.from_numpy(inputs),
            labels=torch.from_numpy(labels),
            heard=torch.tensor([item.heard for item in items]),
            weight=len(places),
            places=places,
        )

    def listen(self, sounds: Sequence[Samples]) -> Heard:
        return Heard(
            features=torch.stack([self.features(clip) for clip in sounds]),
            seconds=tuple(len(clip) / self.rate for clip in sounds),
        )

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
        parts = [self._parts(text) for text in texts]
        flat = [part for each in parts for part in each]
        found = iter(self._tokenizer(flat, add_special_tokens=False).input_ids)
        return [[id_ for _ in each for id_ in next(found)] for each in parts]

    def _parts(self, text: str) -> list[str]:
        """The text in parts, cut inside of what looks like a special token.

        `<|el|>` in a transcript stands for its six signs, never for the token.
        """
        cuts = [0, *(found.start() + 1 for found in self._special.finditer(text)), len(text)]
        return [text[start:end] for start, end in pairwise(cuts)]


def places_of(labels: torch.Tensor) -> torch.Tensor:
    """Positions of the labels that count, in the flattened labels."""
    return torch.nonzero(labels.flatten() != IGNORED)[:, 0]


def _separator(clip: Utterance) -> str:
    """Separator before a text that follows another in its window."""
    return " " if languages.find(clip.language).unit == "words" else ""


def _others(language: Language) -> str:
    if language.code == "yue":
        return "whisper-large-v3 and whisper-turbo have one."
    return "`jobrunner languages` shows which languages Whisper knows."
