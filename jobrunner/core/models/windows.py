"""Packs clips into windows, and crops windows that stay short.

An encoder window costs the same whether it is full or empty (arXiv 2503.05931 counts over half of
the compute of unpacked batches as padding).

A window holds clips of one company: of one language and task. Clips of one speaker share windows
first. What of them fills no window is packed across speakers: most speakers of a public corpus have
too few clips for that, and FLEURS does not name its speakers at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from jobrunner.core.models.base import Unit
from jobrunner.core.models.best_fit import best_fit
from jobrunner.core.models.timestamps import SILENCE_SECONDS, STAMPS_A_CLIP

Pack = Literal["language", "speaker", "none"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Lengths of cropped windows as parts of a whole one: 5, 10, 15 and 30 s where that has 30 s.
PARTS = (6, 3, 2, 1)
# Clips that are packed at a time. More fill windows no better, and bring the same clips together
# again in the next epoch.
_POOL = 2048
# Part of a clip's length by which its rank among the others varies.
_JITTER = 0.1
# Least share of a window that clips of one speaker must fill to keep it for themselves.
_FULL = 0.95
# Share of a window that packed clips fill, nearly; decides how many clips stay single.
_FILLED = 0.97

Fits = Callable[[int, int, int], bool]
"""Whether a device takes so many windows, of so many samples and label tokens each, at a time."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Facts about one clip for packing."""

    samples: int
    first_tokens: int
    """Label tokens of the text if it begins a window."""
    next_tokens: int
    """Label tokens of the text if it follows another."""
    prompt_tokens: int = 0
    """Tokens before the labels, which the loss does not count."""
    company: Hashable = None
    """Clips share windows only with clips of equal company; None means with no other clip."""
    speaker: str = ""
    """Speaker; empty if not known."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a window."""

    samples: int
    tokens: int
    """Label tokens, including those besides the text."""
    overhead_tokens: int
    """Label tokens besides the text."""
    timed_overhead_tokens: int = 0
    """Label tokens besides the texts and times, in a window whose labels carry times."""
    grain: int = 1
    """Cropped windows have a multiple of this number of samples."""

    @property
    def buckets(self) -> tuple[int, ...]:
        """Samples that a window may be cropped to, the shortest first."""
        grains = self.samples // self.grain
        return tuple(-(-grains // part) * self.grain for part in PARTS)


class WindowPacking:
    """Best fit among clips in random pools.

    Args:
        measures: measures of all clips; each clip fits into a window by itself.
        limits: limits of a window.
        rate: samples a second.
        fits: what a device takes at a time; one window goes always.
        pack: who may share a window: clips of one language, of one known speaker, or none.
        pack_probability: share of the windows that may hold several clips.
        timed_share: share of the windows whose labels carry times; those without room have none.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        limits: Limits,
        *,
        rate: int,
        fits: Fits,
        pack: Pack = "language",
        pack_probability: float,
        timed_share: float = 0.0,
    ) -> None:
        self._limits, self._rate, self._fits, self._pack = limits, rate, fits, pack
        self._pack_probability, self._timed_share = pack_probability, timed_share
        self._silence = round(SILENCE_SECONDS * rate)
        self._samples = np.array([each.samples for each in measures], dtype=np.int64)
        self._first = np.array([each.first_tokens for each in measures], dtype=np.int64)
        self._next = np.array([each.next_tokens for each in measures], dtype=np.int64)
        self._prompt = np.array([each.prompt_tokens for each in measures], dtype=np.int64)
        # The silence after a clip counts as the clip's; a window has room for one silence more.
        self._lengths = self._samples + self._silence
        self._tokens = np.maximum(self._first, self._next)
        # Any window may become one with times.
        self._tokens += STAMPS_A_CLIP if timed_share else 0
        self._length = limits.samples + self._silence
        self._most_tokens = limits.tokens - limits.overhead_tokens
        self._company = _numbered([each.company for each in measures])
        self._speaker = _numbered([each.speaker or None for each in measures])
        self._sociable = self._company >= 0
        if pack == "speaker":
            self._sociable &= self._speaker >= 0
        if pack == "none":
            self._sociable[:] = False

    def pack(self, random: np.random.Generator) -> list[Unit]:
        """All clips in windows, both in random order."""
        order = random.permutation(len(self._samples))
        sociable = order[self._sociable[order]]
        single = self._single_windows(len(order) - len(sociable), sociable)
        alone = np.concatenate([order[~self._sociable[order]], sociable[:single]])
        # Clips of like length take turns to be first, so that other clips meet in each epoch.
        ranks = -self._lengths * random.uniform(1.0 - _JITTER, 1.0 + _JITTER, len(order))
        windows = [[clip] for clip in alone.tolist()]
        for clips in _groups(sociable[single:], self._company):
            windows += self._packed(clips, ranks)
        units = self._units(windows, order, random)
        return [units[place] for place in random.permutation(len(units)).tolist()]

    def split(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        """Micro-batches of one bucket each, of nearly equal size within a bucket."""
        parts: list[Sequence[Unit]] = []
        start = 0
        for end in range(1, len(units) + 1):
            if end == len(units) or units[end].shape != units[start].shape:
                parts += self._of_one_bucket(units[start:end])
                start = end
        return parts

    def cost(self, units: Sequence[Unit]) -> float:
        """Seconds of audio with padding: a window costs as much as its bucket."""
        return sum(unit.shape for unit in units) / self._rate

    def _of_one_bucket(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        for number in range(1, len(units) + 1):
            cuts = np.linspace(0, len(units), number + 1).round().astype(int).tolist()
            parts = [units[a:b] for a, b in pairwise(cuts)]
            if all(
                self._fits(len(part), part[0].shape, max(unit.size for unit in part))
                for part in parts
            ):
                break
        return parts

    def _single_windows(self, alone: int, sociable: Ints) -> int:
        """Clips that get a window of their own, though they could share one.

        Args:
            alone: clips that can share none.
            sociable: those that can.
        """
        if not len(sociable):
            return 0
        shares = self._lengths[sociable] / self._length, self._tokens[sociable] / self._most_tokens
        # Windows that one clip takes if all are packed.
        each = min(1.0, max(float(share.mean()) for share in shares) / _FILLED)
        singles = 1.0 - self._pack_probability
        wanted = singles * (alone + len(sociable) * each) - alone
        return min(len(sociable), max(0, round(wanted / (1.0 - singles * (1.0 - each)))))

    def _packed(self, clips: Ints, ranks: Floats) -> list[list[int]]:
        """Windows of clips of one company, which are in random order.

        Args:
            clips: the clips.
            ranks: of all clips; those of a pool are placed by theirs, the least first.
        """
        if self._pack == "speaker":
            groups = _groups(clips, self._speaker)
            return [window for own in groups for window in self._pools(own, ranks)]
        done: list[list[int]] = []
        packed = np.zeros(len(self._samples), dtype=bool)
        for own in _groups(clips[self._speaker[clips] >= 0], self._speaker):
            if self._lengths[own].sum() < _FULL * self._length:
                continue
            for window in self._pools(own, ranks):
                if self._lengths[window].sum() >= _FULL * self._length:
                    done.append(window)
                    packed[window] = True
        return done + self._pools(clips[~packed[clips]], ranks)

    def _pools(self, clips: Ints, ranks: Floats) -> list[list[int]]:
        """Windows of clips, which are packed pool by pool."""
        windows: list[list[int]] = []
        for pool in np.array_split(clips, -(-len(clips) // _POOL)) if len(clips) else []:
            ordered = pool[np.argsort(ranks[pool], kind="stable")]
            names = ordered.tolist()
            found = best_fit(
                self._lengths[ordered].tolist(),
                self._tokens[ordered].tolist(),
                length=self._length,
                most_tokens=self._most_tokens,
            )
            windows += [[names[place] for place in window] for window in found]
        return windows

    def _units(
        self, windows: Sequence[Sequence[int]], order: Ints, random: np.random.Generator
    ) -> list[Unit]:
        """Units of windows, the clips of each in the order of all clips."""
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        sizes = np.array([len(window) for window in windows], dtype=np.int64)
        clips = np.array([clip for window in windows for clip in window], dtype=np.int64)
        clips = clips[np.lexsort((place[clips], np.repeat(np.arange(len(sizes)), sizes)))]
        starts = np.cumsum(sizes) - sizes
        samples = np.add.reduceat(self._samples[clips], starts)
        timed, tokens = self._tokens_of(clips, starts, sizes, random)
        limits = self._limits
        buckets = np.array(limits.buckets)
        shapes = buckets[np.searchsorted(buckets, samples + (sizes - 1) * self._silence)]
        # Whoever uses the model gives it single clips in whole windows, so it learns from some.
        shapes[sizes == 1] = limits.samples
        names = clips.tolist()
        columns = (starts, starts + sizes, samples, tokens, shapes, timed)
        return [
            Unit(tuple(names[start:end]), held, weight, weight, shape, has_times)
            for start, end, held, weight, shape, has_times in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def _tokens_of(
        self, clips: Ints, starts: Ints, sizes: Ints, random: np.random.Generator
    ) -> tuple[npt.NDArray[np.bool_], Ints]:
        """Which windows carry times, and the label tokens of each window.

        Args:
            clips: of all windows, one window after the other.
            starts: place of each window's first clip.
            sizes: clips of each window.
            random: chooses the windows with times.
        """
        limits = self._limits
        texts = np.add.reduceat(self._next[clips], starts)
        first = clips[starts]
        plain = texts + self._first[first] - self._next[first] + limits.overhead_tokens
        if not self._timed_share:
            return np.zeros(len(sizes), dtype=bool), plain
        with_times = texts + STAMPS_A_CLIP * sizes + limits.timed_overhead_tokens
        timed = random.random(len(sizes)) < self._timed_share
        timed &= with_times + self._prompt[first] <= limits.tokens
        return timed, np.where(timed, with_times, plain)


def _numbered(names: Sequence[Hashable]) -> Ints:
    """A number for each name, in order of appearance; -1 for None."""
    numbers: dict[Hashable, int] = {None: -1}
    return np.array([numbers.setdefault(name, len(numbers) - 1) for name in names], dtype=np.int64)


def _groups(clips: Ints, numbers: Ints) -> Iterator[Ints]:
    """Clips of equal numbers together, each group in the order given."""
    if not len(clips):
        return
    of_clips = numbers[clips]
    order = np.argsort(of_clips, kind="stable")
    yield from np.split(clips[order], np.flatnonzero(np.diff(of_clips[order])) + 1)
