"""Masks cover times and bands of the audio alone, with its mean."""

from __future__ import annotations

import pytest
import torch

from jobrunner.core.models.spec_augment import masked

MELS, FRAMES = 80, 1000


def features(windows: int) -> torch.Tensor:
    return torch.randn(windows, MELS, FRAMES, generator=torch.Generator().manual_seed(0))


def covered(windows: int, heard: list[int], seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    given = features(windows)
    return masked(given, torch.tensor(heard)) != given


def test_masks_stay_within_the_audio() -> None:
    heard = [0, 5, 40, 500, 1000]
    changed = covered(5, heard)
    for row, length in enumerate(heard):
        assert not changed[row, :, length:].any()
    assert not changed[0].any()
    assert changed[3:].any(dim=(1, 2)).all()


def test_what_is_covered_has_the_mean_of_the_audio_and_the_rest_stays() -> None:
    given = features(1)
    torch.manual_seed(0)
    found = masked(given, torch.tensor([600]))
    changed = found != given
    assert changed.any()
    torch.testing.assert_close(found[changed], given[0, :, :600].mean().expand(int(changed.sum())))


@pytest.mark.parametrize("length", [300, 1000])
def test_masks_cover_their_share_of_times_and_bands(length: int) -> None:
    changed = covered(400, [length] * 400)[:, :, :length]
    times, bands = changed.all(dim=1), changed.all(dim=2)
    # Masks that meet cover a little less than the 5 % and 10 % that they have together.
    assert 0.04 < float(times.float().mean()) < 0.052
    assert 0.08 < float(bands.float().mean()) < 0.105
    # Masks are 10 frames and 10 bands wide.
    assert int(bands.sum(dim=1).max()) == 10
    assert int(times.sum(dim=1)[times.any(dim=1)].min()) >= 10


def test_masks_follow_from_the_seed() -> None:
    first, again, other = (covered(4, [900] * 4, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
