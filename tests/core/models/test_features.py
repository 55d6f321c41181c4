"""Features are those of transformers, and the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from jobrunner.core.models.base import Samples
from jobrunner.core.models.features import LogMel


@pytest.mark.parametrize("window", [3, 30])
@pytest.mark.parametrize("mels", [80, 128])
def test_features_are_those_of_the_extractor(window: int, mels: int) -> None:
    # To a tolerance: which kernel multiplies depends on the processor. Bit equality holds on one
    # machine, against oneself (the next test).
    extractor = WhisperFeatureExtractor(feature_size=mels, chunk_length=window)
    features = LogMel.of(extractor)
    whole = window * 16000
    random = np.random.default_rng(0)
    clips = [
        (random.standard_normal(samples) * 0.1).astype(np.float32)
        for samples in (1, 159, 200, 3200, 35217, whole - 401, whole - 200, whole - 1, whole)
    ]
    for audio in (*clips, np.zeros(8000, dtype=np.float32)):
        theirs = extractor(audio, sampling_rate=16000, return_tensors="pt").input_features[0]
        torch.testing.assert_close(features(audio), theirs, atol=2e-6, rtol=0)


@given(samples=st.integers(1, 32000), threads=st.sampled_from((1, 2, 4)))
def test_features_are_bit_for_bit_the_same_on_any_number_of_threads(
    samples: int, threads: int
) -> None:
    features = LogMel.of(WhisperFeatureExtractor(chunk_length=2))
    audio = (np.random.default_rng(samples).standard_normal(samples) * 0.1).astype(np.float32)
    before = torch.get_num_threads()
    once = features(audio)
    torch.set_num_threads(threads)
    try:
        assert torch.equal(features(audio), once)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("frames", [100, 180, 199, 200])
def test_features_of_a_batch_on_a_device_are_those_of_each_window(mels: int, frames: int) -> None:
    features = LogMel.of(WhisperFeatureExtractor(feature_size=mels, chunk_length=2))
    random = np.random.default_rng(frames)
    lengths = (1, 200, 8000, frames * 160 - 90, frames * 160)
    # 16 bits, as prepared speech has; one window is quiet and one is silent.
    clips: list[Samples] = [
        (random.integers(-9000, 9000, each) / 32768).astype(np.float32) for each in lengths
    ]
    clips += [(clips[2] / 1024).astype(np.float32), np.zeros(4000, dtype=np.float32)]
    clips[5] = (np.round(clips[5] * 32768) / 32768).astype(np.float32)
    batch = torch.stack([features.as_int16(clip, frames) for clip in clips])
    assert batch.dtype == torch.int16
    assert batch.shape == (len(clips), frames * 160)
    found = features.on(torch.device("cpu")).batched(batch)
    for one, clip in zip(found, clips, strict=True):
        if len(clip) <= frames * 160 - 200 or frames == 200:
            torch.testing.assert_close(one, features(clip)[:, :frames], atol=2e-5, rtol=0)


def test_audio_of_16_bits_comes_to_a_device_without_loss() -> None:
    features = LogMel.of(WhisperFeatureExtractor(chunk_length=2))
    whole = torch.arange(-32768, 32768, 7, dtype=torch.int32)[:8000].to(torch.int16)
    found = features.as_int16((whole.float() / 32768).numpy(), 60)
    assert torch.equal(found[:8000], whole)
    assert not found[8000:].any()
    loud = features.as_int16(np.array([1.0, -1.0, 2.0], dtype=np.float32), 1)
    assert loud[:3].tolist() == [32767, -32768, 32767]


def test_bf16_outside_changes_no_feature() -> None:
    features = LogMel.of(WhisperFeatureExtractor(chunk_length=2))
    sound = np.random.default_rng(1).standard_normal(30000).astype(np.float32) * 0.1
    batch = features.as_int16(sound, 200)[None]
    plain = features.batched(batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(features.batched(batch), plain)
