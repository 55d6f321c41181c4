"""Windows as Whisper takes them: one item of a data worker, and a batch of items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

# Labels that the loss leaves out (torch's own default).
IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Window:
    """One item: the encoder's input, the decoder's input, and the labels."""

    features: torch.Tensor
    """Log-mel features (mels, frames), float32; or the audio (samples,), int16, of which a device
    computes them."""
    inputs: npt.NDArray[np.int64]
    """Token ids (tokens,) that the decoder reads, starting with the prompt or the start token."""
    labels: npt.NDArray[np.int64]
    """Token ids (tokens,) that it must write; `IGNORED` where it only reads."""
    heard: int
    """Frames that hold audio, from the first on."""


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Windows that go through the model together."""

    features: torch.Tensor
    """(windows, mels, frames), float32; or the audio (windows, samples), int16."""
    inputs: torch.Tensor
    """(windows, tokens), int64."""
    labels: torch.Tensor
    """(windows, tokens), int64; `IGNORED` where nothing is learnt."""
    heard: torch.Tensor
    """(windows,), int64: frames that hold audio, from the first on."""
    weight: float
    """Label tokens."""
    places: torch.Tensor | None = None
    """Positions in the flattened labels of those that count, int64; found when needed if None.
    A device could give their number only by waiting for all of its work."""

    @property
    def nbytes(self) -> int:
        return self.features.nbytes + self.inputs.nbytes + self.labels.nbytes

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, end: int) -> WindowBatch:
        part = replace(self, places=None)._mapped(lambda tensor: tensor[start:end])
        places = places_of(part.labels)
        return replace(part, weight=len(places), places=places)

    def pin_memory(self) -> WindowBatch:
        return self._mapped(torch.Tensor.pin_memory)

    def to(self, device: torch.device) -> WindowBatch:
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def _mapped(self, change: Any) -> WindowBatch:
        return WindowBatch(
            features=change(self.features),
            inputs=change(self.inputs),
            labels=change(self.labels),
            heard=change(self.heard),
            weight=self.weight,
            places=None if self.places is None else change(self.places),
        )


def places_of(labels: torch.Tensor) -> torch.Tensor:
    """Positions of the labels that count, in the flattened labels."""
    return torch.nonzero(labels.flatten() != IGNORED)[:, 0]
