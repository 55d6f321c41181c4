"""Selects a source's clips for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass

from jobrunner.core.data.layout import Split
from jobrunner.core.data.sources.base import RawClip, Speech
from jobrunner.corpora import splits
from jobrunner.spec import DataSpec


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The clips of one language to prepare."""

    clips: dict[Split, list[RawClip]]
    """The clips of each split, in order."""
    held_out: bool
    """True if validation was taken out of the training speech."""


def select(speech: Speech, data: DataSpec, wanted: tuple[str, ...]) -> Selection:
    """Selects the clips of each split to prepare.

    Args:
        speech: the speech to select from.
        data: roles of the splits, and the share to hold out.
        wanted: roles, from `splits.wanted`; `train` includes `validation`.

    Raises:
        SpecError: a split that the spec names does not exist.
    """
    choice = splits.choose(speech.splits, data, wanted=wanted)
    selected: dict[Split, list[RawClip]] = {}
    if choice.test:
        selected["test"] = list(speech.clips(choice.test))
    if choice.train:
        train = [clip for name in choice.train for clip in speech.clips(name)]
        if choice.validation:
            selected["validation"] = list(speech.clips(choice.validation))
        else:
            train, selected["validation"] = _held_out(train, data.holdout)
        selected["train"] = train
    return Selection(clips=selected, held_out=bool(choice.train) and not choice.validation)


def _held_out(clips: list[RawClip], share: float) -> tuple[list[RawClip], list[RawClip]]:
    sentences = [splits.sentence(clip.text) for clip in clips]
    held = splits.hold_out([sentence for sentence in sentences if sentence], share)
    kept = [clip for clip, sentence in zip(clips, sentences, strict=True) if sentence not in held]
    return kept, [clip for clip, sentence in zip(clips, sentences, strict=True) if sentence in held]
