"""Features are those of transformers, and the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

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
