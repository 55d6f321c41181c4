"""Selects a source's clips for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from unicodedata import normalize

from jobrunner.core.data.layout import Split
from jobrunner.core.data.sources.base import RawClip, Speech
from jobrunner.corpora import splits
from jobrunner.errors import DataError
from jobrunner.scoring.text import has_text
from jobrunner.spec import DataSpec


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The clips of one language to prepare."""

    clips: dict[Split, list[RawClip]]
    """The clips of each split, in order."""
    held_out: bool
    """True if validation was taken out of the training speech."""
    commit: str = ""
    """Commit of the hub that the clips are from; empty for files of a machine."""


def select(speech: Speech, data: DataSpec, wanted: tuple[str, ...]) -> Selection:
    """Selects the clips of each split to prepare.

    Args:
        speech: the speech to select from.
        data: roles of the splits, and the share to hold out.
        wanted: roles, from `splits.wanted`; `train` includes `validation`.

    Raises:
        SpecError: a split that the spec names does not exist, or nothing is left to validate on.
        DataError: no transcript of a split has any text.
    """
    choice = splits.choose(speech.splits, data, wanted=wanted)
    selected: dict[Split, list[RawClip]] = {}
    if choice.test:
        selected["test"] = _clips(speech, choice.test)
    if choice.train:
        train = [clip for name in choice.train for clip in _clips(speech, name)]
        if choice.validation:
            selected["validation"] = _clips(speech, choice.validation)
        else:
            sentences = [splits.sentence(clip.text) for clip in train]
            train, held = splits.held_out(train, sentences, data.holdout)
            splits.check_held_out(len(held), sentences, data.holdout)
            selected["validation"] = held
        selected["train"] = train
    for role, clips in selected.items():
        _check_texts(role, clips)
    held_out = bool(choice.train) and not choice.validation
    return Selection(clips=selected, held_out=held_out, commit=speech.commit)


def _clips(speech: Speech, split: str) -> list[RawClip]:
    """The clips of a split, with transcripts in NFC.

    A model writes in NFC. Letters that are taken apart would be other tokens to learn, and other
    words than those that it writes.
    """
    return [replace(clip, text=normalize("NFC", clip.text)) for clip in speech.clips(split)]


def _check_texts(role: Split, clips: list[RawClip]) -> None:
    if clips and not any(has_text(clip.text) for clip in clips):
        raise DataError(
            f"None of the {len(clips)} transcripts of {role} has text once it is normalised, "
            f"such as {clips[0].text[:40]!r} ({clips[0].clip}).",
            hint=f"Check the transcript column of the {role} split.",
        )
