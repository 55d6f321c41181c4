"""Findings of a check of a corpus: warnings, and how many rows become clips of which split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The rows of a language's tables: `rows` is the sum of all in `kept` and `left_out`."""

    language: str
    """Code of the language."""
    rows: int
    kept: Mapping[str, int]
    """Role of a split → clips that are prepared for it."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason → rows that become no clip."""
    held_out: bool = False
    """True if the clips for validation are taken from the training split."""
    train_seconds: float = 0.0
    """Seconds of speech for training, estimated from heads of files; 0 if it is not known."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Facts about the speech of a language that are known before anything is decoded."""

    warnings: tuple[str, ...] = ()
    """One line each."""
    counts: Counts
