"""What is prepared of a source: its splits, with transcripts in one form."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any, cast

import pytest

from jobrunner.core.data.selection import select
from jobrunner.core.data.sources.base import RawClip
from jobrunner.spec import DataSpec

TEXT = "Καλημέρα, Ελλάδα"
APART = unicodedata.normalize("NFD", TEXT)


class Taken:
    """A source whose accents are letters of their own, as some keyboards and systems write them."""

    splits = ("train", "validation", "test")

    def clips(self, split: str) -> Iterator[RawClip]:
        for number in range(3):
            yield RawClip(f"{split}-{number}", cast("Any", None), f"{APART} {number}", "")


@pytest.mark.parametrize("named", ["", "validation"], ids=["held-out", "named"])
def test_transcripts_of_every_split_are_prepared_in_nfc(named: str) -> None:
    assert APART != TEXT
    found = select(Taken(), DataSpec(validation_split=named), ("train", "test"))
    assert found.held_out == (not named)
    assert found.clips.keys() == {"train", "validation", "test"}
    texts = [clip.text for clips in found.clips.values() for clip in clips]
    assert sorted(texts) == sorted(3 * [f"{TEXT} {number}" for number in range(3)])
