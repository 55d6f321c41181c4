"""The example corpus is what its data card says: real audio, clean splits, a voice held back."""

from __future__ import annotations

import csv
import itertools
import random
import runpy
import tomllib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import soundfile

from tests.harness.paths import EXAMPLES

SPEECH = EXAMPLES / "speech"
LANGUAGES = ("cy", "el", "en", "es", "hi", "ja", "sw")
SPLITS = ("train", "validation", "test")
MAKE_SPEECH = runpy.run_path(str(SPEECH / "make_speech.py"))


@dataclass(frozen=True)
class Clip:
    path: Path
    sentence: str
    client_id: str
    split: str

    @property
    def variant(self) -> str:
        return self.client_id.split("-")[1]

    @property
    def seconds(self) -> float:
        return float(soundfile.info(self.path).duration)


@cache
def clips(language: str) -> tuple[Clip, ...]:
    folder = SPEECH / language
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Clip(folder / row["file_name"], row["sentence"], row["client_id"], row["split"])
        for row in rows
    )


def words(language: str) -> set[str]:
    """The different words heard; for Japanese, which has no spaces, the grammar's words."""
    texts = [clip.sentence.casefold() for clip in clips(language)]
    if language == "ja":
        grammar = tomllib.loads((SPEECH / "sentences" / "ja.toml").read_text(encoding="utf-8"))
        known = itertools.chain.from_iterable(grammar["words"].values())
        return {word for word in known if any(word in text for text in texts)}
    return {word.strip(".,;?¿।") for text in texts for word in text.split()}


def test_the_corpus_takes_at_most_15_megabytes() -> None:
    assert sum(path.stat().st_size for path in SPEECH.rglob("*.*") if path.is_file()) <= 15e6


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_clip_decodes_to_mono_speech_of_at_most_2_9_seconds(language: str) -> None:
    for clip in clips(language):
        wave, rate = soundfile.read(clip.path, dtype="float32")
        assert rate == 22_050
        assert wave.ndim == 1
        assert 0.5 < len(wave) / rate <= 2.9, clip.path
        assert 0.3 < abs(wave).max() <= 1.0, clip.path


@pytest.mark.parametrize("language", LANGUAGES)
def test_clips_are_compressed_as_corpora_ship_them(language: str) -> None:
    size = sum(clip.path.stat().st_size for clip in clips(language))
    assert 3_000 <= size / sum(clip.seconds for clip in clips(language)) <= 6_000  # bytes a second


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_metadata_lists_exactly_the_files_there(language: str) -> None:
    listed = Counter(clip.path for clip in clips(language))
    assert set(listed) == set((SPEECH / language).rglob("*.mp3"))
    assert set(listed.values()) == {1}
    assert all(clip.path.parent.name == clip.split for clip in clips(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_minutes_are_about_20_for_greek_and_a_few_for_the_others(language: str) -> None:
    minutes = sum(clip.seconds for clip in clips(language)) / 60
    assert 19 <= minutes <= 21.5 if language == "el" else 4 <= minutes <= 6
    assert {clip.split for clip in clips(language)} == set(SPLITS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_more_than_100_different_words(language: str) -> None:
    assert len(words(language)) >= 100


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SPLITS, 2)))
def test_splits_share_no_sentence_and_no_speaker(language: str, one: str, other: str) -> None:
    def of(split: str) -> list[Clip]:
        return [clip for clip in clips(language) if clip.split == split]

    assert not {clip.sentence.casefold() for clip in of(one)} & {
        clip.sentence.casefold() for clip in of(other)
    }
    assert not {clip.client_id for clip in of(one)} & {clip.client_id for clip in of(other)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_test_has_a_voice_that_no_language_trains_on(language: str) -> None:
    heard = {clip.variant for code in LANGUAGES for clip in clips(code) if clip.split == "train"}
    tested = {clip.variant for clip in clips(language) if clip.split == "test"}
    assert tested - heard
    assert len(heard) >= 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_composed_unicode_in_the_language_s_script(language: str) -> None:
    scripts = {"el": ("GREEK",), "hi": ("DEVANAGARI",), "ja": ("HIRAGANA", "KATAKANA")}
    for clip in clips(language):
        assert unicodedata.is_normalized("NFC", clip.sentence)
        letters = [character for character in clip.sentence if character.isalpha()]
        expected = scripts.get(language, ("LATIN",))
        assert all(unicodedata.name(letter).startswith(expected) for letter in letters)


def test_japanese_is_written_without_spaces_and_hindi_with_combining_vowel_signs() -> None:
    assert not any(" " in clip.sentence for clip in clips("ja"))
    marks = [c for clip in clips("hi") for c in clip.sentence if unicodedata.category(c) == "Mc"]
    assert len(marks) > len(clips("hi"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentences_are_those_that_the_script_draws_first(language: str) -> None:
    grammar = tomllib.loads((SPEECH / "sentences" / f"{language}.toml").read_text(encoding="utf-8"))
    drawn = MAKE_SPEECH["sentences"](grammar, random.Random(f"1-{language}-sentences"))
    # Those too long for the window were passed over: up to half in Swahili.
    first = set(itertools.islice(drawn, 2 * len(clips(language))))
    assert {clip.sentence for clip in clips(language)} <= first
