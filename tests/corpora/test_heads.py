"""What the first bytes of a file show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.corpora import heads
from tests.harness.paths import EXAMPLES
from tests.harness.speech import encoded, sound

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
SUBTYPES = {"OGG": ("VORBIS", "OPUS")}
FORMS = ("WAV", "FLAC", "MP3", "OGG", "AIFF", "AU", "CAF", "RF64", "W64", "NIST", "VOC")


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_format_of_libsndfile_is_taken_for_audio(form: str) -> None:
    for subtype in SUBTYPES.get(form, ("",)):
        more = {"subtype": subtype} if subtype else {}
        if form == "VOC":
            more = {"subtype": "PCM_16"}
        data = encoded(sound(1), 16000, form, **more)
        head = data[: heads.SIZE]
        for name in (f"a.{form.lower()}", "a", "a.wav", "a.mp3"):
            assert heads.instead_of_audio(head, name) is None


def test_every_clip_of_the_examples_is_taken_for_audio() -> None:
    clips = [path for path in (EXAMPLES / "speech").rglob("*.mp3") if path.is_file()]
    assert len(clips) > 100
    for path in clips:
        with path.open("rb") as file:
            assert heads.instead_of_audio(file.read(heads.SIZE), path.name) is None


@pytest.mark.parametrize(
    ("head", "one"),
    [
        (b"", "empty"),
        (encoded(sound(1))[:30], "cut off"),
        (POINTER, "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>\xc3\xa9", "a web page"),
        (b'\xef\xbb\xbf  <?xml version="1.0"?><Error><Code>NoSuchKey</Code>', "a web page"),
        (b'{"error": "not found"}\n', "a text"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "MP4 or AAC audio"),
        (b"\xff\xf1\x50\x80" + bytes(50), "AAC audio"),
        (b"\x1aE\xdf\xa3" + bytes(50), "WebM or Matroska audio"),
        (b"PK\x03\x04" + bytes(50), "a zip archive"),
        (bytes(1000), "of no known audio format"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "b/a.FLAC"])
def test_what_stands_in_the_place_of_audio_is_named(head: bytes, one: str, name: str) -> None:
    kind = heads.instead_of_audio(head, name)
    assert kind is not None
    assert kind.one == one
    assert kind.sure == (one != "of no known audio format")


def test_an_mp3_may_begin_with_junk(tmp_path: Path) -> None:
    data = bytes(600) + encoded(sound(1), 16000, "MP3")
    assert heads.instead_of_audio(data[: heads.SIZE], "a.mp3") is None
    (tmp_path / "a.mp3").write_bytes(data)
    samples, _ = soundfile.read(tmp_path / "a.mp3")
    assert np.abs(samples).max() > 0


@given(st.binary(max_size=200))
def test_any_bytes_may_be_audio_under_a_name_that_promises_nothing(data: bytes) -> None:
    kind = heads.instead_of_audio(data, "a.raw")
    assert kind is None or kind.sure
