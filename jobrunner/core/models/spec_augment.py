"""SpecAugment: masks over times and mel bands of a window's audio (Park et al. 2019)."""

from __future__ import annotations

import torch

# Largest share of the audio's frames, and of the mel bands, that masks cover; fine-tuning in the
# scripts of transformers uses 5 % of the time.
_TIME_SHARE, _BAND_SHARE = 0.05, 0.1
# Frames (of 10 ms) and mel bands of one mask.
_TIME_WIDTH, _BAND_WIDTH = 10, 10


def masked(features: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """A copy of features with masks, which have the mean of their window's audio.

    Silence after the audio stays as it is, and does not count for the mean. The masks are drawn
    from torch's generator of the device.

    Args:
        features: (windows, mels, frames).
        heard: (windows,), frames of each window that hold audio, from the first on.
    """
    _, mels, frames = features.shape
    place = torch.arange(frames, device=features.device)
    audio = place < heard[:, None]
    total = (features * audio[:, None]).sum(dim=(1, 2), keepdim=True)
    mean = total / (heard[:, None, None] * mels).clamp(min=1)
    times = _drawn(heard, frames, _TIME_SHARE, _TIME_WIDTH)
    bands = _drawn(torch.full_like(heard, mels), mels, _BAND_SHARE, _BAND_WIDTH)
    covered = (times[:, None] | bands[:, :, None]) & audio[:, None]
    return torch.where(covered, mean.to(features.dtype), features)


def _drawn(lengths: torch.Tensor, places: int, share: float, width: int) -> torch.Tensor:
    """Places (windows, places) that masks cover.

    The number of masks is the share of the length in masks, rounded up or down by chance.

    Args:
        lengths: (windows,), places that masks may cover, from the first on.
        places: places of a row.
        share: share of a length that masks cover on average, where they do not meet.
        width: places of a mask.
    """
    device, windows = lengths.device, len(lengths)
    most = int(share * places / width) + 1
    chance = torch.rand(windows, device=device)
    counts = (share * lengths / width + chance).floor()
    room = (lengths - width + 1).clamp(min=0)
    starts = (torch.rand(windows, most, device=device) * room[:, None]).floor()
    used = (torch.arange(most, device=device) < counts[:, None]) & (room[:, None] > 0)
    after = torch.arange(places, device=device) - starts[..., None]
    return ((after >= 0) & (after < width) & used[..., None]).any(dim=1)
