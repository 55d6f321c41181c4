"""Clips of any format become 16 kHz mono, and what cannot be used says why."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.data.audio import Unusable, decode, encode
from jobrunner.core.data.sources.folder import FileAudio
from tests.harness.speech import encoded, sound


@dataclass(frozen=True)
class BytesAudio:
    data: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def identity(self) -> str:
        return str(len(self.data))


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=5000))
def test_what_is_stored_is_bit_equal_to_what_was_decoded(values: list[int]) -> None:
    pcm = np.array(values, dtype=np.int16)
    stored, rate = soundfile.read(io.BytesIO(encode(pcm)), dtype="int16")
    assert rate == 16000
    assert (stored == pcm).all()
    assert (decode(BytesAudio(encode(pcm))) == pcm).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1.0))
def test_float_audio_is_stored_within_half_a_step_of_16_bits(seed: int, peak: float) -> None:
    samples = (np.random.default_rng(seed).uniform(-peak, peak, 800)).astype(np.float32)
    pcm = decode(BytesAudio(encoded(samples, subtype="FLOAT")))
    inside = samples < 32767 / 32768
    assert np.abs(pcm / 32768 - samples)[inside].max() <= 0.5 / 32768 + 1e-9


def test_float_audio_beyond_full_scale_is_clipped_not_wrapped() -> None:
    pcm = decode(BytesAudio(encoded(np.array([1.5, -1.5, 0.0], np.float32), subtype="FLOAT")))
    assert pcm.tolist() == [32767, -32768, 0]


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("WAV", {"subtype": "PCM_24"}),
    ("FLAC", {}),
    ("MP3", {}),
    ("OGG", {"subtype": "VORBIS"}),
    ("OGG", {"subtype": "OPUS"}),
    ("AIFF", {}),
]


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize(("form", "more"), FORMS)
def test_any_format_and_rate_becomes_16_khz_of_the_same_sound(
    form: str, more: dict[str, Any], rate: int
) -> None:
    if more.get("subtype") == "OPUS" and rate == 44100:
        rate = 12000  # Opus knows no 44.1 kHz
    time = np.arange(rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    pcm = decode(BytesAudio(encoded(tone, rate, form, **more)))
    assert abs(len(pcm) - 16000) < 0.16 * 16000  # MP3 pads to whole frames, at low rates long ones
    middle = pcm[4000:12000] / 32768
    strongest = np.abs(np.fft.rfft(middle * np.hanning(8000))).argmax() * 2
    assert strongest == 440
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_channels_are_averaged() -> None:
    left = sound(1)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    pcm = decode(BytesAudio(encoded(both, subtype="FLOAT")))
    assert np.abs(pcm / 32768 - left / 2).max() <= 1 / 32768


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", ""),
        (b"not audio at all", "format not recognised"),
        (encoded(sound(1))[:30], ""),
        (encoded(sound(1), form="FLAC")[:3000], ""),
        (encoded(np.zeros(0, np.float32)), "it holds no audio"),
        (encoded(np.array([0.1, np.nan], np.float32), subtype="FLOAT"), "it holds no audio"),
        (encoded(sound(1), rate=1), "its rate is 1 Hz"),
    ],
    # The bytes of some hold the time at which they were made.
    ids=("empty", "text", "cut WAV", "cut FLAC", "no samples", "not a number", "1 Hz"),
)
def test_a_damaged_file_is_unreadable_and_says_why(data: bytes, detail: str) -> None:
    with pytest.raises(Unusable) as caught:
        decode(BytesAudio(data))
    assert caught.value.reason == "unreadable"
    assert detail in caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unusable) as caught:
        decode(FileAudio(str(tmp_path / "gone.wav")))
    assert (caught.value.reason, caught.value.detail) == ("unreadable", "no such file or directory")


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_clip_over_30_s_is_told_and_one_of_30_s_is_kept(rate: int) -> None:
    silence = np.zeros(30 * rate, np.int16)
    assert len(decode(BytesAudio(encoded(silence, rate)))) == 30 * 16000
    with pytest.raises(Unusable) as caught:
        decode(BytesAudio(encoded(np.append(silence, silence[:1]), rate)))
    assert caught.value.reason == "longer than 30 s"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>", "it is a web page"),
        (b"\0\0\0\x20ftypM4A " + bytes(90), "it is MP4 or AAC audio"),
        (b"", "it is empty"),
    ],
)
def test_what_is_known_to_be_something_else_is_named(
    tmp_path: Path, data: bytes, detail: str
) -> None:
    (tmp_path / "a.mp3").write_bytes(data)
    for audio in (FileAudio(str(tmp_path / "a.mp3")), BytesAudio(data)):
        with pytest.raises(Unusable) as caught:
            decode(audio)
        assert (caught.value.reason, caught.value.detail) == ("unreadable", detail)


def test_a_pipe_is_unreadable_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(Unusable) as caught:
        decode(FileAudio(str(tmp_path / "a.wav")))
    assert (caught.value.reason, caught.value.detail) == ("unreadable", "it is not a file")


def test_a_damaged_mp3_writes_nothing_to_the_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(sound(1, 1.0), 16000, "MP3")
    damaged = bytes(300) + whole[:1000] + bytes(500) + whole[1500:]
    (tmp_path / "a.mp3").write_bytes(damaged)
    soundfile.read(tmp_path / "a.mp3")
    assert "llegal Audio-MPEG-Header" in capfd.readouterr().err
    decode(FileAudio(str(tmp_path / "a.mp3")))
    assert capfd.readouterr().err == ""
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"
