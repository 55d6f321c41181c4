"""Utterances are decoded in batches of like length, and each gets its own text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.data.dataset import SAMPLE_RATE, Dataset, Utterance
from jobrunner.core.models.base import Hypothesis, Recipe, Recogniser, Samples
from jobrunner.core.transcribe import fitting, transcribe
from jobrunner.errors import Interrupted
from jobrunner.storage.local import LocalStorage

LENGTHS = st.lists(st.integers(min_value=1, max_value=50), max_size=20)


class Lengths:
    """Writes down how many samples each clip has, and remembers its batches.

    Of a recipe and a recogniser it is as much as decoding needs.
    """

    longest_seconds = 20 / SAMPLE_RATE

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    @property
    def recipe(self) -> Recipe:
        return cast("Recipe", self)

    def listen(self, sounds: Sequence[Samples]) -> list[int]:
        self.batches.append([len(clip) for clip in sounds])
        return self.batches[-1]

    def decode(self, heard: list[int]) -> list[Hypothesis]:
        return [Hypothesis(text=str(n), score=-float(n), looped=n % 2 == 0) for n in heard]


def heard_by(model: Lengths, lengths: Sequence[int], **options: Any) -> list[Hypothesis]:
    return transcribe(cast("Recogniser", model), Silence(), clips(lengths), **options)


class Silence(Dataset):
    """Clips of zeros."""

    def __init__(self) -> None:
        super().__init__(LocalStorage(Path("nowhere")), "data/x/", Path("nowhere"), {}, "el")

    def audio(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        return np.zeros(round(utterance.seconds * SAMPLE_RATE), dtype=np.float32)


def clips(lengths: Sequence[int]) -> list[Utterance]:
    return [
        Utterance(
            index=index,
            shard="test/0.flacs",
            offset=0,
            size=0,
            seconds=length / SAMPLE_RATE,
            text="",
            speaker="",
            clip=str(index),
            language="el",
        )
        for index, length in enumerate(lengths)
    ]


@given(LENGTHS, st.integers(min_value=1, max_value=7))
def test_each_text_belongs_to_its_utterance(lengths: list[int], batch_size: int) -> None:
    model = Lengths()
    found = heard_by(model, lengths, batch_size=batch_size)
    assert [one.text for one in found] == [str(length) for length in lengths]
    assert [one.score for one in found] == [-length for length in lengths]
    assert [one.looped for one in found] == [length % 2 == 0 for length in lengths]
    decoded = [length for batch in model.batches for length in batch]
    assert decoded == sorted(lengths, reverse=True)
    assert all(len(batch) == batch_size for batch in model.batches[:-1])


def test_progress_is_told_after_each_batch() -> None:
    told: list[tuple[int, float]] = []
    heard_by(
        Lengths(),
        [16_000, 32_000, 8_000],
        batch_size=2,
        after_batch=lambda utterances, seconds: told.append((utterances, seconds)),
    )
    assert told == [(2, 3.0), (3, 3.5)]


def test_a_stop_ends_between_batches() -> None:
    model = Lengths()
    with pytest.raises(Interrupted, match="after 2 of 3 utterances"):
        heard_by(model, [1, 2, 3], batch_size=2, should_stop=lambda: len(model.batches) == 1)
    assert model.batches == [[3, 2]]


def test_only_what_is_longer_than_the_window_does_not_fit() -> None:
    kept = fitting(Lengths().recipe, clips([19, 20, 21]))
    assert [clip.index for clip in kept] == [0, 1]
