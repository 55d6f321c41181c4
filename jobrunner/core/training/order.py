"""The order of the data: which utterances make a window, and which windows make a step. Pure.

The order of an epoch is a function of the seed and the epoch's number, so that a position in the
data is two integers and a resumed run sees what an undisturbed one would have seen.

Utterances of one speaker are packed greedily into windows: an encoder window costs the same full
or empty (arXiv 2503.05931 counts over half of the compute of unpacked batches as padding).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

# Clips in one window, by their place in `Clips`.
Window = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Clips:
    """What packing needs to know of each clip; lists of equal length."""

    samples: Sequence[int]
    first_tokens: Sequence[int]
    """Label tokens of the text where it begins a window."""
    next_tokens: Sequence[int]
    """Label tokens of the text where it follows another."""
    speakers: Sequence[str]
    """Empty: nothing is known to be of the same speaker."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What fits into a window."""

    samples: int
    tokens: int
    """Label tokens, those beside the text included."""
    overhead_tokens: int
    """Label tokens beside the text."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The windows of one optimiser step, over all ranks."""

    epoch: int
    index: int
    """Place in its epoch, from 0."""
    last: bool
    """True for the epoch's last step."""
    windows: tuple[Window, ...]
    """Sorted by label tokens, most first, so that windows of a micro-batch are of like length."""
    samples: int
    """Samples of audio, without padding."""
    tokens: int
    """Label tokens that the step's loss is divided by."""


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Windows that one rank takes through the model at a time."""

    windows: tuple[Window, ...]
    counts: bool = True
    """False for a rank that has no window in this step and only keeps the others company."""
    last: bool = True
    """True for the last one of its step: after it the ranks' gradients are added up."""


class Order:
    """Deals clips to steps, epoch after epoch.

    Args:
        clips: all of which fit into a window.
        limits: of a window.
        batch_samples: samples of audio in a step, about.
        pack_probability: chance of a clip to share a window.
        seed: of the run.
    """

    def __init__(
        self,
        clips: Clips,
        limits: Limits,
        *,
        batch_samples: int,
        pack_probability: float,
        seed: int,
    ) -> None:
        self._clips = clips
        self._limits = limits
        self._batch_samples = batch_samples
        self._pack_probability = pack_probability
        self._seed = seed

    def steps(self, epoch: int, index: int) -> Iterator[Step]:
        """All steps from a position on, without end."""
        while True:
            yield from self.epoch(epoch)[index:]
            epoch, index = epoch + 1, 0

    def epoch(self, number: int) -> list[Step]:
        """The steps of an epoch. Each clip is in exactly one of them.

        Audio is shared out evenly, so that no step at the end is smaller than the others: there
        are as many steps as whole budgets begin in the epoch's audio.
        """
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, number])))
        windows = self._pack(random)
        lengths = np.array(
            [sum(self._clips.samples[clip] for clip in window) for window in windows]
        )
        ends = np.cumsum(lengths)
        count = -(-int(ends[-1]) // self._batch_samples)
        # A window belongs to the step in which its middle falls.
        places = ((ends - lengths / 2) * count / ends[-1]).astype(np.int64).clip(0, count - 1)
        cuts = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(windows)]
        return [
            self._step(number, index, index == len(cuts) - 2, windows[start:end])
            for index, (start, end) in enumerate(pairwise(cuts))
        ]

    def _pack(self, random: np.random.Generator) -> list[Window]:
        """All clips in windows, both in random order."""
        clips, limits = self._clips, self._limits
        order = random.permutation(len(clips.samples)).tolist()
        sociable = (random.random(len(order)) < self._pack_probability).tolist()
        done: list[Window] = []
        open_windows: dict[str, tuple[list[int], int, int]] = {}
        for clip in order:
            speaker = clips.speakers[clip]
            if not (speaker and sociable[clip]):
                done.append((clip,))
                continue
            held, samples, tokens = open_windows.get(speaker, ([], 0, 0))
            samples += clips.samples[clip]
            tokens += clips.next_tokens[clip]
            if held and samples <= limits.samples and tokens <= limits.tokens:
                held.append(clip)
            else:
                if held:
                    done.append(tuple(held))
                held, samples = [clip], clips.samples[clip]
                tokens = limits.overhead_tokens + clips.first_tokens[clip]
            open_windows[speaker] = (held, samples, tokens)
        done += [tuple(held) for held, _, _ in open_windows.values()]
        return [done[place] for place in random.permutation(len(done)).tolist()]

    def _step(self, epoch: int, index: int, last: bool, windows: Sequence[Window]) -> Step:
        ranked = sorted(windows, key=lambda window: (-self._tokens(window), window))
        return Step(
            epoch=epoch,
            index=index,
            last=last,
            windows=tuple(ranked),
            samples=sum(self._clips.samples[clip] for window in windows for clip in window),
            tokens=sum(map(self._tokens, windows)),
        )

    def _tokens(self, window: Window) -> int:
        clips = self._clips
        return (
            self._limits.overhead_tokens
            + clips.first_tokens[window[0]]
            + sum(clips.next_tokens[clip] for clip in window[1:])
        )


def share(step: Step, *, rank: int, ranks: int, windows_at_once: int) -> list[MicroBatch]:
    """The micro-batches of one rank, of nearly equal size, at least one."""
    own = step.windows[rank::ranks]
    if not own:
        return [MicroBatch(windows=step.windows[:1], counts=False)]
    parts = np.array_split(np.arange(len(own)), -(-len(own) // windows_at_once))
    return [
        MicroBatch(windows=own[part[0] : part[-1] + 1], last=part is parts[-1]) for part in parts
    ]


class Ragged:
    """Lists of token ids, held in two arrays: a million small lists would take 30 times the room.

    Args:
        rows: lists of ids.
    """

    def __init__(self, rows: Sequence[Sequence[int] | npt.NDArray[np.int32]]) -> None:
        self._values = np.fromiter((id_ for row in rows for id_ in row), dtype=np.int32)
        self._ends = np.cumsum([len(row) for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> npt.NDArray[np.int32]:
        start = self._ends[row - 1] if row else 0
        return self._values[start : self._ends[row]]

    def lengths(self) -> list[int]:
        """Length of each list."""
        found: list[int] = np.diff(self._ends, prepend=0).tolist()
        return found
