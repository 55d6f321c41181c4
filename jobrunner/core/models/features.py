"""Log-mel features of a window: those of `WhisperFeatureExtractor`, at a fraction of the cost.

The extractor transforms the padded window. Nearly all of a short clip's 30 s is silence, whose
features are one constant. Here only the frames that touch audio are transformed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from jobrunner.errors import DataError

# Smallest power given to the logarithm, as in Whisper's own code.
_FLOOR = 1e-10
# Fewest frames to transform. Below 12 columns MKL multiplies with another kernel on some processors
# (AMD EPYC, AVX2), so that the last bits of a clip would depend on its length.
_FEWEST_FRAMES = 64


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """Computes the features of one window. It has plain data, so workers can receive it."""

    filters: torch.Tensor
    """Mel filters (mels, frequency bins), float32."""
    rate: int
    """Samples a second."""
    samples: int
    """Samples of a whole window."""
    fft: int
    """Samples of one Fourier transform."""
    hop: int
    """Samples between two frames."""

    @classmethod
    def of(cls, extractor: Any) -> LogMel:
        """Takes the settings of a `WhisperFeatureExtractor`, to compute the same features."""
        filters = torch.from_numpy(extractor.mel_filters).to(torch.float32).T.contiguous()
        return cls(
            filters=filters,
            rate=extractor.sampling_rate,
            samples=extractor.n_samples,
            fft=extractor.n_fft,
            hop=extractor.hop_length,
        )

    @property
    def frames(self) -> int:
        """Frames of a whole window."""
        return self.samples // self.hop

    def __call__(self, audio: npt.NDArray[np.float32]) -> torch.Tensor:
        """Features (mels, frames) of mono samples (n,), padded with silence to the window.

        Runs on one thread: splitting a matrix product over threads changes its last bits.

        Raises:
            DataError: the audio is longer than the window.
        """
        if len(audio) > self.samples:
            raise DataError(
                f"A window of {len(audio) / self.rate:.2f} s is longer than the model's "
                f"{self.samples / self.rate:.0f} s.",
                hint="The plan of the windows should have left it out: report this as a bug.",
            )
        # A frame reaches fft/2 samples to each side; after these come frames of pure silence.
        touched = -(-(len(audio) + self.fft // 2) // self.hop)
        heard = min(self.frames, max(_FEWEST_FRAMES, touched))
        length = min(self.samples, max(len(audio), heard * self.hop) + 2 * self.fft)
        with _one_thread():
            padded = torch.zeros(length)
            padded[: len(audio)] = torch.from_numpy(audio)
            window = torch.hann_window(self.fft)
            spectrum = torch.stft(padded, self.fft, self.hop, window=window, return_complex=True)
            power = (spectrum[:, :heard].abs() ** 2).contiguous()
            logs = torch.clamp(self.filters @ power, min=_FLOOR).log10()
            features = torch.full((len(self.filters), self.frames), float(np.log10(_FLOOR)))
            features[:, :heard] = logs
            features = torch.maximum(features, features.max() - 8.0)
            return (features + 4.0) / 4.0

    def as_int16(self, audio: npt.NDArray[np.float32], frames: int) -> torch.Tensor:
        """Audio as `batched` takes it: int16 (samples,) of so many frames, padded with silence.

        Prepared speech has 16 bits, so nothing is lost.
        """
        whole = torch.zeros(frames * self.hop, dtype=torch.int16)
        heard = torch.from_numpy(audio[: len(whole)])
        whole[: len(heard)] = (heard * 32768.0).round().clamp(-32768, 32767).to(torch.int16)
        return whole

    def on(self, device: torch.device) -> LogMel:
        """The settings with their filters on a device."""
        return replace(self, filters=self.filters.to(device))

    def batched(self, audio: torch.Tensor) -> torch.Tensor:
        """Features (windows, mels, frames) of windows of equal length, on the filters' device.

        Those of `__call__`, but for the last bits. The device is not waited for.

        Args:
            audio: int16 (windows, samples), a whole number of frames and at most a window.
        """
        frames = audio.shape[1] // self.hop
        # A window that was cropped continues with silence, of which its last frames hear a part.
        silence = min(2 * self.fft, self.samples - audio.shape[1])
        with torch.autocast(audio.device.type, enabled=False):
            sound = torch.nn.functional.pad(audio.float() / 32768.0, (0, silence))
            window = torch.hann_window(self.fft, device=audio.device)
            spectrum = torch.stft(sound, self.fft, self.hop, window=window, return_complex=True)
            power = spectrum[..., :frames].abs() ** 2
            logs = torch.clamp(self.filters @ power, min=_FLOOR).log10()
            loudest = logs.amax(dim=(1, 2), keepdim=True)
            return (torch.maximum(logs, loudest - 8.0) + 4.0) / 4.0


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
