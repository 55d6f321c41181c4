"""A second family, which keeps the seam honest: characters by CTC, in buckets of like length.

All of it that `core/models/base.py` asks for, and nothing else. Its loss is per frame, and how many
frames a batch has is known after collation only; its best model is the one of the lowest loss.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch

from jobrunner.core.data.layout import Utterance
from jobrunner.core.models.base import (
    Batch,
    Hypothesis,
    ParameterGroup,
    Samples,
    Unit,
    groups_by_decay,
)
from jobrunner.spec import RunSpec, TrainSpec
from tests.harness.rows import FAMILY_TYPE

HOP = 320
BLANK, SYMBOLS = 0, "αβγδεζηθικλμνξοπρστυφχψω "


@dataclass(frozen=True, kw_only=True)
class Frames:
    sounds: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    label_lengths: torch.Tensor
    weight: float

    def pin_memory(self) -> Frames:
        return self

    def to(self, device: torch.device) -> Frames:
        return replace(self, sounds=self.sounds.to(device))


class Buckets:
    def __init__(self, samples: Sequence[int], most: int) -> None:
        self._samples, self._most = samples, most

    def pack(self, random: np.random.Generator) -> list[Unit]:
        order = random.permutation(len(self._samples)).tolist()
        # The weight is a guess on purpose: how many frames count is known after collation.
        return [Unit((i,), self._samples[i], 50.0, self._samples[i]) for i in order]

    def split(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        parts: list[Sequence[Unit]] = []
        start = 0
        for end in range(1, len(units) + 1):
            if end == len(units) or (end + 1 - start) * units[start].size > self._most:
                parts.append(units[start:end])
                start = end
        return parts

    def cost(self, units: Sequence[Unit]) -> float:
        return len(units) * max(unit.size for unit in units) / 16000


class Recipe:
    rate = 16000
    longest_seconds = math.inf
    drops: Mapping[str, str] = {"unwritten": "without a letter"}

    def measure(self, clips: Sequence[Utterance]) -> list[Any]:
        samples = [round(clip.seconds * self.rate) for clip in clips]
        return [
            count if _ids(clip.text) else "unwritten"
            for clip, count in zip(clips, samples, strict=True)
        ]

    def packing(
        self, clips: Sequence[Utterance], measures: Sequence[int], spec: RunSpec
    ) -> Buckets:
        return Buckets(measures, round(spec.resources.device_seconds * self.rate))

    def item(
        self, clips: Sequence[Utterance], sounds: Sequence[Samples], unit: Unit | None = None
    ) -> Any:
        sound = np.concatenate(sounds)
        usable = sound[: len(sound) // HOP * HOP].reshape(-1, HOP)
        return torch.from_numpy(usable.copy()), [id_ for clip in clips for id_ in _ids(clip.text)]

    def collate(self, items: Sequence[Any]) -> Frames:
        sounds, labels = zip(*items, strict=True)
        lengths = torch.tensor([len(sound) for sound in sounds])
        return Frames(
            sounds=torch.nn.utils.rnn.pad_sequence(list(sounds), batch_first=True),
            lengths=lengths,
            labels=torch.tensor([id_ for ids in labels for id_ in ids]),
            label_lengths=torch.tensor([len(ids) for ids in labels]),
            weight=int(lengths.sum()),
        )

    def listen(self, sounds: Sequence[Samples]) -> Frames:
        return self.collate([(self.item([], [sound])[0], [1]) for sound in sounds])


class Recogniser:
    criterion = "loss"
    recipe = Recipe()

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        frames = cast("Frames", batch)
        scores = (forward or self.module)(frames.sounds).log_softmax(-1).transpose(0, 1)
        return torch.nn.functional.ctc_loss(
            *(scores, frames.labels, frames.lengths, frames.label_lengths),
            reduction="sum",
            zero_infinity=True,
        )

    @torch.inference_mode()
    def decode(self, heard: Frames) -> list[Hypothesis]:
        best = self.module(heard.sounds).log_softmax(-1).max(-1)
        found = []
        for score, path, length in zip(best.values, best.indices, heard.lengths, strict=True):
            ids = torch.unique_consecutive(path[:length]).tolist()
            text = "".join(SYMBOLS[id_ - 1] for id_ in ids if id_ != BLANK)
            mean = float(score[:length].mean())
            found.append(Hypothesis(text=text.strip(), score=mean, looped=False))
        return found

    def groups(self) -> list[ParameterGroup]:
        return groups_by_decay(self.module)

    def compile(self) -> None:
        self.module.compile()

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": FAMILY_TYPE}))
        safetensors.torch.save_file(self.module.state_dict(), folder / "model.safetensors")


def load(
    folder: Path,
    spec: RunSpec,
    device: torch.device | str,
    dtype: torch.dtype,
    *,
    language: str = "",
    train: TrainSpec | None = None,
) -> Recogniser:
    model = make(seed=0)
    model.module.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    model.module.to(device, dtype)
    return model


def make(*, seed: int) -> Recogniser:
    """A model with random weights."""
    torch.manual_seed(seed)
    layers = torch.nn.Linear(HOP, 32), torch.nn.Tanh(), torch.nn.Linear(32, len(SYMBOLS) + 1)
    return Recogniser(torch.nn.Sequential(*layers))


def _ids(text: str) -> list[int]:
    return [SYMBOLS.index(letter) + 1 for letter in text.lower() if letter in SYMBOLS]
