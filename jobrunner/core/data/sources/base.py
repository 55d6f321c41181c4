"""What a source of speech is: it lists the clips of its splits, and decodes nothing.

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
        """What changes when the audio does, found without reading it."""
        ...


@dataclass(frozen=True, slots=True)
class RawClip:
    """One clip as the source has it."""

    clip: str
    """File name or id, unique in its split."""
    audio: Audio
    text: str
    speaker: str
    """Empty when unknown: such a clip is taken to be of the same speaker as no other."""


class Speech(Protocol):
    """What a source has in one language."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist."""
        ...

    def clips(self, split: str) -> Iterator[RawClip]:
        """The clips of a split, always in the same order."""
        ...


class Reader(Protocol):
    """The module of a source."""

    def open_source(self, source: Source, spec: RunSpec, language: str, scratch: Path) -> Speech:
        """The speech of one language.

        Args:
            source: which.
            spec: the run; its columns are read.
            language: code of the language.
            scratch: a folder on a local disk, for downloads.

        Raises:
            SpecError: the source does not have what the spec asks of it.
            JobrunnerError: the hub cannot be reached.
        """
        ...
