"""Protocols of a source of speech: it lists the clips of its splits, and decodes nothing.

A source is a module with one function, `open_source`, and a row in `catalog/corpora.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from jobrunner.spec import RunSpec, Source


class Audio(Protocol):
    """The encoded audio of one clip. Picklable: worker processes open it."""

    def open(self) -> BinaryIO | str:
        """A stream over the file, or its path. Raises OSError or ValueError."""
        ...

    def identity(self) -> str:
        """Text that changes when the audio does, found without reading the audio."""
        ...


@dataclass(frozen=True, slots=True)
class RawClip:
    """One clip of a source, not decoded."""

    clip: str
    """File name or id, unique in its split."""
    audio: Audio
    text: str
    speaker: str
    """Empty if unknown: then no other clip counts as the same speaker's."""


class Speech(Protocol):
    """The speech of a source in one language."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist."""
        ...

    @property
    def commit(self) -> str:
        """Commit of the hub that it is read from; empty for files of a machine."""
        ...

    def clips(self, split: str) -> Iterator[RawClip]:
        """The clips of a split, always in the same order."""
        ...


class Reader(Protocol):
    """The module of a source."""

    def open_source(self, source: Source, spec: RunSpec, language: str, scratch: Path) -> Speech:
        """Opens the speech of one language.

        Args:
            source: the source.
            spec: spec of the run, which may name columns.
            language: code of the language.
            scratch: a folder on a local disk, for downloads.

        Raises:
            SpecError: the source does not have what the spec asks for.
            JobrunnerError: the hub cannot be reached.
        """
        ...
