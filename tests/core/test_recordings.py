"""Recordings of any length, in pieces that a model can hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from jobrunner.core import recordings
from jobrunner.errors import UsageError

RATE = 16_000


def _noise(seconds: float, rate: int = RATE) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(int(seconds * 1000))
    return random.uniform(-0.3, 0.3, int(seconds * rate)).astype(np.float32)


def _write(path: Path, *parts: Any, rate: int = RATE, **form: Any) -> Path:
    """A file in which numbers are seconds of silence, and arrays are sound."""
    sounds = [np.zeros(int(p * rate)) if isinstance(p, float) else p for p in parts]
    soundfile.write(path, np.concatenate(sounds), rate, **form)
    return path


def _times(path: Path, longest: float) -> list[tuple[float, float]]:
    found = recordings.pieces(path, rate=RATE, longest=longest)
    return [(round(piece.start, 1), round(piece.end, 1)) for piece in found]


def test_a_recording_is_cut_in_its_pauses(tmp_path: Path) -> None:
    parts = (_noise(3.0), 1.0, _noise(2.0), 0.5, _noise(3.5))
    path = _write(tmp_path / "a.wav", *parts)
    # The sound itself, and a margin of 0.1 s.
    assert _times(path, 4.0) == [(0.0, 3.1), (3.9, 6.1), (6.4, 10.0)]
    assert _times(path, 30.0) == [(0.0, 10.0)]


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_sample_is_in_one_piece_whatever_the_rate(
    tmp_path: Path, rate: int, channels: int
) -> None:
    seconds = 70.0
    sound = np.stack([_noise(seconds, rate)] * channels, axis=1)
    soundfile.write(tmp_path / "a.flac", sound, rate)
    found = list(recordings.pieces(tmp_path / "a.flac", rate=RATE, longest=7.0))
    assert all(len(piece.samples) <= 7.0 * RATE for piece in found)
    assert sum(len(piece.samples) for piece in found) == pytest.approx(seconds * RATE, abs=2)
    assert all(piece.samples.dtype == np.float32 for piece in found)
    assert [piece.start for piece in found] == sorted(piece.start for piece in found)
    assert found[-1].end == pytest.approx(seconds, abs=0.1)


def test_silence_has_no_pieces(tmp_path: Path) -> None:
    assert _times(_write(tmp_path / "a.wav", 12.0), 5.0) == []
    mostly = _write(tmp_path / "b.wav", 12.0, _noise(1.0), 12.0)
    assert _times(mostly, 5.0) == [(11.9, 13.1)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no audio at all, only words in a file", "format not recognised"),
        (b"", "format not recognised"),
    ],
)
def test_a_file_that_is_not_audio_says_so(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    expected = rf"notes\.txt cannot be read as audio: {reason}\. `ffmpeg -i .*notes-16000\.wav`"
    with pytest.raises(UsageError, match=expected):
        recordings.check(path)


def test_audio_without_samples_or_of_values_that_are_not_numbers_is_refused(tmp_path: Path) -> None:
    recordings.check(_write(tmp_path / "good.wav", _noise(0.5)))
    with pytest.raises(UsageError, match="it holds no audio"):
        recordings.check(_write(tmp_path / "empty.wav", 0.0))
    broken = _write(tmp_path / "nan.wav", np.full(800, np.nan), subtype="FLOAT")
    with pytest.raises(UsageError, match="it holds values that are not numbers"):
        list(recordings.pieces(broken, rate=RATE, longest=5.0))
    with pytest.raises(UsageError, match=r"missing\.wav cannot be read as audio: "):
        recordings.check(tmp_path / "missing.wav")
