"""Utterances are decoded in batches of like length, and each gets its own text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.data.dataset import SAMPLE_RATE, Dataset, Utterance
from jobrunner.core.models.base import Hypothesis, Recipe, Recogniser, Samples
from jobrunner.core.transcribe import fitting, transcribe
from jobrunner.errors import DataError, Interrupted
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
    done: list[int] = []
    with pytest.raises(Interrupted, match="after 2 of 3 utterances"):
        heard_by(
            Lengths(),
            [1, 2, 3],
            batch_size=2,
            after_batch=lambda utterances, seconds: done.append(utterances),
            should_stop=lambda: bool(done),
        )
    assert done == [2]


def test_only_what_is_longer_than_the_window_does_not_fit() -> None:
    kept = fitting(Lengths().recipe, clips([19, 20, 21]))
    assert [clip.index for clip in kept] == [0, 1]


class Reading(Lengths):
    """Notes the threads that read and decode; decodes a batch only once the next one is read."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: dict[str, set[tuple[str, int]]] = {"read": set(), "decode": set()}
        self.read = [threading.Event() for _ in range(4)]

    def listen(self, sounds: Sequence[Samples]) -> list[int]:
        self._note("read")
        heard = super().listen(sounds)
        self.read[len(self.batches)].set()
        return heard

    def decode(self, heard: list[int]) -> list[Hypothesis]:
        self._note("decode")
        following = min(3, self.batches.index(heard) + 2)
        assert self.read[following].wait(timeout=20)
        return super().decode(heard)

    def _note(self, what: str) -> None:
        self.threads[what].add((threading.current_thread().name, torch.get_num_threads()))


def test_the_next_batch_is_read_by_a_thread_on_one_core_while_one_is_decoded() -> None:
    model, cores = Reading(), torch.get_num_threads()
    assert len(heard_by(model, [3, 1, 2, 5, 4], batch_size=2)) == 5
    assert {cores for _, cores in model.threads["read"]} == {1}
    assert all(name.startswith("listen") for name, _ in model.threads["read"])
    assert model.threads["decode"] == {(threading.current_thread().name, cores)}
    assert torch.get_num_threads() == cores


def test_no_thread_is_left_and_later_ones_have_all_cores() -> None:
    before, cores = threading.active_count(), torch.get_num_threads()
    with pytest.raises(Interrupted):
        heard_by(Lengths(), [1, 2, 3], batch_size=1, should_stop=lambda: True)
    assert threading.active_count() == before
    with ThreadPoolExecutor(1) as another:
        assert another.submit(torch.get_num_threads).result() == cores


def test_an_error_of_the_thread_is_raised_as_it_is() -> None:
    class Deaf(Lengths):
        def listen(self, sounds: Sequence[Samples]) -> list[int]:
            raise DataError("cannot be decoded")

    with pytest.raises(DataError, match="cannot be decoded"):
        heard_by(Deaf(), [1, 2], batch_size=1)
