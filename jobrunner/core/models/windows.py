"""Packs clips of one speaker into windows of fixed length.

An encoder window costs the same whether it is full or empty (arXiv 2503.05931 counts over half of
the compute of unpacked batches as padding).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from jobrunner.core.models.base import Unit

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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a window."""

    samples: int
    tokens: int
    """Label tokens, including those besides the text."""
    overhead_tokens: int
    """Label tokens besides the text."""


class WindowPacking:
    """Greedy packing: one window at a time is open for each company.

    Args:
        measures: measures of all clips; each clip fits into a window by itself.
        limits: limits of a window.
        rate: samples a second.
        fits: whether a device takes so many windows, of so many samples and label tokens each.
        pack_probability: chance that a clip may share a window.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        limits: Limits,
        *,
        rate: int,
        fits: Fits,
        pack_probability: float,
    ) -> None:
        self._measures = measures
        self._limits = limits
        self._pack_probability = pack_probability
        self._window_seconds = limits.samples / rate
        self._fits = fits

    def pack(self, random: np.random.Generator) -> list[Unit]:
        """All clips in windows, both in random order."""
        measures, limits = self._measures, self._limits
        order = random.permutation(len(measures)).tolist()
        may_share = (random.random(len(order)) < self._pack_probability).tolist()
        done: list[Unit] = []
        open_windows: dict[Hashable, tuple[list[int], int, int]] = {}
        for clip in order:
            company = measures[clip].company
            if company is None or not may_share[clip]:
                done.append(self._unit([clip]))
                continue
            held, samples, tokens = open_windows.get(company, ([], 0, 0))
            samples += measures[clip].samples
            tokens += measures[clip].next_tokens
            if held and samples <= limits.samples and tokens <= limits.tokens:
                held.append(clip)
            else:
                if held:
                    done.append(self._unit(held))
                held, samples = [clip], measures[clip].samples
                tokens = limits.overhead_tokens + measures[clip].first_tokens
            open_windows[company] = (held, samples, tokens)
        done += [self._unit(held) for held, _, _ in open_windows.values()]
        return [done[place] for place in random.permutation(len(done)).tolist()]

    def split(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        """The fewest micro-batches of nearly equal size that all fit."""
        for number in range(1, len(units) + 1):
            parts = np.array_split(np.arange(len(units)), number)
            batches = [units[part[0] : part[-1] + 1] for part in parts]
            if all(self._holds(batch) for batch in batches):
                break
        return batches

    def _holds(self, units: Sequence[Unit]) -> bool:
        tokens = max(unit.size for unit in units)
        return self._fits(len(units), self._limits.samples, tokens)

    def cost(self, units: Sequence[Unit]) -> float:
        """Seconds of audio with padding: every window costs as much as a full one."""
        return len(units) * self._window_seconds

    def _unit(self, clips: Sequence[int]) -> Unit:
        first, *following = (self._measures[clip] for clip in clips)
        tokens = self._limits.overhead_tokens + first.first_tokens
        tokens += sum(measure.next_tokens for measure in following)
        return Unit(
            clips=tuple(clips),
            samples=sum(self._measures[clip].samples for clip in clips),
            weight=tokens,
            size=tokens,
        )
