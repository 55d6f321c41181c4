"""Where speech comes from. A source lists the clips of its splits; it decodes nothing.

A new source (an archive of Common Voice, VoxPopuli, MLS) is a class with these members and a line
in `open_source`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from jobrunner.core.data.layout import Split
from jobrunner.corpora import splits
from jobrunner.spec import DataSpec, RunSpec


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


class Source(Protocol):
    """Speech of one language."""

    usual_train: tuple[str, ...]
    """Splits to train on when the spec names none."""
    usual_validation: str
    """Split that validates when the spec names none; empty: held out."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist."""
        ...

    def clips(self, split: str) -> Iterator[RawClip]:
        """The clips of a split, always in the same order."""
        ...


def open_source(spec: RunSpec, language: str, scratch: Path) -> Source:
    """The source that a spec names, for one language.

    Args:
        spec: `data.source` is read.
        language: code of the language.
        scratch: a folder on a local disk, for downloads.

    Raises:
        SpecError: the source does not have what the spec asks of it.
    """
    kind, _, place = spec.data.source.partition(":")
    if kind == "folder":
        from jobrunner.core.data.sources.folder import FolderSource

        return FolderSource(Path(place), language, spec.data, own=language == spec.lang)
    from jobrunner.core.data.sources.fleurs import FleursSource

    return FleursSource(language, spec.data, Path(place) if place else None, scratch)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be prepared of one language."""

    clips: dict[Split, list[RawClip]]
    """The clips of each split, in order."""
    held_out: bool
    """True if validation was taken out of the training speech."""


def planned(source: Source, data: DataSpec, wanted: tuple[str, ...]) -> Plan:
    """The clips of each split to prepare.

    Args:
        source: where they come from.
        data: which splits have which role, and how much is held out.
        wanted: roles, from `splits.wanted`; `train` brings `validation`.

    Raises:
        SpecError: a split that the spec names does not exist.
    """
    choice = splits.choose(
        source.splits,
        data,
        wanted=wanted,
        usual_train=source.usual_train,
        usual_validation=source.usual_validation,
    )
    found: dict[Split, list[RawClip]] = {}
    if choice.test:
        found["test"] = list(source.clips(choice.test))
    if choice.train:
        train = [clip for name in choice.train for clip in source.clips(name)]
        if choice.validation:
            found["validation"] = list(source.clips(choice.validation))
        else:
            train, found["validation"] = _held_out(train, data.holdout)
        found["train"] = train
    return Plan(clips=found, held_out=bool(choice.train) and not choice.validation)


def _held_out(clips: list[RawClip], share: float) -> tuple[list[RawClip], list[RawClip]]:
    sentences = [splits.sentence(clip.text) for clip in clips]
    held = splits.hold_out([one for one in sentences if one], share)
    kept = [clip for clip, one in zip(clips, sentences, strict=True) if one not in held]
    return kept, [clip for clip, one in zip(clips, sentences, strict=True) if one in held]
