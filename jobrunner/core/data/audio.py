"""Decodes a clip of any format, rate and number of channels to 16 kHz mono samples.

libsndfile reads WAV, FLAC, MP3, Ogg Vorbis and Opus, AIFF and others, not AAC (.m4a).
`benchmarks/prepare.py` measures the choices of resampler and compression.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from jobrunner.core.data.layout import SAMPLE_RATE
from jobrunner.core.data.sources.base import Audio
from jobrunner.corpora import heads

# No model here hears more at once, and a file of several hours must not fill the memory.
LONGEST_SECONDS = 30.0
# In Hz; rates outside this range come from damaged headers.
RATES = range(2_000, 768_001)
# libsndfile's scale from FLAC's fastest (0) to its smallest (1).
COMPRESSION = 0.5

Pcm = npt.NDArray[np.int16]


class Unusable(Exception):
    """A clip must be dropped; says why."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def decode(audio: Audio) -> Pcm:
    """The samples of a clip, int16 [samples] at 16 kHz, channels averaged.

    Raises:
        Unusable: it is damaged, empty, or longer than 30 s.
    """
    try:
        samples, rate = _read(audio)
        if rate != SAMPLE_RATE:
            samples = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        raise Unusable("unreadable", one_line(error)) from None
    if not len(samples) or not np.isfinite(samples).all():
        raise Unusable("unreadable", "it holds no audio")
    pcm: Pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return pcm


def _read(audio: Audio) -> tuple[npt.NDArray[np.float32], int]:
    """Float samples of one channel, and their rate."""
    opened = audio.open()
    if kind := _instead(opened):
        raise Unusable("unreadable", kind)
    with _quiet(), soundfile.SoundFile(opened) as file:
        rate = int(file.samplerate)
        if rate not in RATES:
            raise ValueError(f"its rate is {rate} Hz")
        longest = int(LONGEST_SECONDS * rate)
        # The length in a header may be wrong, so one frame more than the limit is read.
        samples = file.read(longest + 1, dtype="float32", always_2d=True)
    if len(samples) > longest:
        raise Unusable("longer than 30 s")
    return (samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)), rate


def _instead(opened: BinaryIO | str) -> str:
    """Names a kind that libsndfile cannot know, such as a Git LFS pointer; else empty."""
    if isinstance(opened, str):
        with Path(opened).open("rb") as file:
            head = file.read(heads.SIZE)
    else:
        head = opened.read(heads.SIZE)
        opened.seek(0)
    kind = heads.instead_of_audio(head, opened if isinstance(opened, str) else "")
    if kind is heads.TEXT:
        return "format not recognised"
    return f"it is {kind.one}" if kind and kind.sure else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops what libmpg123 writes to the standard error: up to five lines for a damaged MP3."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def encode(pcm: Pcm) -> bytes:
    """A FLAC file of 16 kHz, 16 bit samples, one channel."""
    target = io.BytesIO()
    soundfile.write(
        target,
        pcm,
        SAMPLE_RATE,
        format="FLAC",
        subtype="PCM_16",
        compression_level=COMPRESSION,
    )
    return target.getvalue()


def one_line(error: Exception) -> str:
    """The reason why a file cannot be read, in a few words."""
    message = str(error) or type(error).__name__
    if isinstance(error, soundfile.LibsndfileError):
        message = error.error_string
        if "does not exist" in message:  # its text for an MP3 without a frame; the file was opened
            message = "format not recognised"
    elif isinstance(error, OSError) and error.strerror:
        message = error.strerror
    line = message.splitlines()[0].rstrip(".")
    return line[:1].lower() + line[1:]
