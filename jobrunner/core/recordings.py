"""Cuts recordings of any length into pieces that a model can hear, at their quietest places.

A file is read and resampled block by block, so that one of several hours does not fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from jobrunner.core.data.audio import RATES, one_line
from jobrunner.core.models.base import Samples
from jobrunner.errors import UsageError

_BLOCK_SECONDS = 30.0
_FRAME_SECONDS = 0.02
# A cut is made in the middle of the quietest stretch of this length.
_PAUSE_FRAMES = 10
# Power of -60 dB of full scale: quieter frames are silence.
_SILENCE = 1e-6
# Frames of 40 dB below the loudest one of a piece do not count as its sound.
_QUIET = 1e-4
_MARGIN_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a recording, with the times in seconds at which its sound begins and ends."""

    samples: Samples
    start: float
    end: float


def check(path: Path) -> None:
    """Checks that a file begins as audio that can be read.

    Raises:
        UsageError: it cannot.
    """
    if not any(len(block) for block in _blocks(path, RATES.start)):
        raise UsageError(
            f"{path} cannot be read as audio: it holds no audio.", hint="Copy it again."
        )


def pieces(path: Path, *, rate: int, longest: float) -> Iterator[Piece]:
    """The pieces of a recording in order; silent ones are left out.

    Args:
        path: a file that libsndfile reads.
        rate: samples a second of the pieces.
        longest: seconds of a piece at most. A longer recording is cut in the second half of each
            stretch of this length, where it is quietest.

    Raises:
        UsageError: the file cannot be read.
    """
    limit, start = int(longest * rate), 0
    held: Samples = np.empty(0, dtype=np.float32)
    for block in _blocks(path, rate):
        held = np.concatenate([held, block])
        while len(held) > limit:
            cut = _quietest(held[:limit], rate)
            yield from _audible(held[:cut], start, rate)
            held, start = held[cut:], start + cut
    yield from _audible(held, start, rate)


def _blocks(path: Path, rate: int) -> Iterator[Samples]:
    """The samples of a file, channels averaged, at another rate."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate not in RATES:
                raise ValueError(f"its rate is {file.samplerate} Hz")
            stream = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32", quality="HQ")
            size = int(_BLOCK_SECONDS * file.samplerate)
            while len(read := file.read(size, dtype="float32", always_2d=True)):
                if not np.isfinite(read).all():
                    raise ValueError("it holds values that are not numbers")
                yield np.clip(stream.resample_chunk(read.mean(axis=1)), -1.0, 1.0)
            yield np.clip(stream.resample_chunk(np.empty(0, np.float32), last=True), -1.0, 1.0)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, one_line(error)) from None


def _unreadable(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path} cannot be read as audio: {reason}.",
        # The rate may be the reason, and the file itself may end in .wav.
        hint=f"`ffmpeg -i {path} -ar 16000 {path.stem}-16000.wav` makes a file that can.",
    )


def _powers(samples: Samples, rate: int) -> Samples:
    """Mean power of each frame."""
    frame = max(1, int(_FRAME_SECONDS * rate))
    whole = len(samples) // frame * frame
    powers: Samples = (samples[:whole].reshape(-1, frame) ** 2).mean(axis=1)
    return powers


def _quietest(samples: Samples, rate: int) -> int:
    """The sample to cut at: the middle of the last quietest pause in the second half."""
    frame = max(1, int(_FRAME_SECONDS * rate))
    powers = _powers(samples, rate)
    width = min(_PAUSE_FRAMES, len(powers))
    smooth = np.convolve(powers, np.ones(width) / width, mode="valid")
    first = len(smooth) // 2
    later = smooth[first:]
    quietest = first + len(later) - 1 - int(np.argmin(np.maximum(later, _SILENCE)[::-1]))
    return int((quietest + width / 2) * frame) or len(samples)


def _audible(samples: Samples, start: int, rate: int) -> Iterator[Piece]:
    """The piece, unless all of it is silence."""
    powers = _powers(samples, rate)
    loudest = float(powers.max()) if len(powers) else 0.0
    if loudest < _SILENCE:
        return
    loud = np.flatnonzero(powers >= max(loudest * _QUIET, _SILENCE))
    begin = start / rate
    yield Piece(
        samples=samples,
        start=max(begin, begin + loud[0] * _FRAME_SECONDS - _MARGIN_SECONDS),
        end=min(
            begin + len(samples) / rate, begin + (loud[-1] + 1) * _FRAME_SECONDS + _MARGIN_SECONDS
        ),
    )
