"""A cropped window goes through the same layers, and a whole one as in transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import WhisperForConditionalGeneration

from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.models.whisper_encoder import CroppedEncoder
from tests import builders
from tests.harness.tiny import SECONDS, make_whisper

FRAMES = 100 * SECONDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Whisper:
    return whisper.load(folder, builders.spec(model="./tiny"), "cpu", torch.float32)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration.from_pretrained(folder).eval()


def features(frames: int) -> torch.Tensor:
    return torch.randn(2, 80, frames, generator=torch.Generator().manual_seed(0))


def test_a_whole_window_is_encoded_bit_for_bit_as_in_transformers(
    model: Whisper, theirs: WhisperForConditionalGeneration
) -> None:
    own = model.module.model.encoder(features(FRAMES)).last_hidden_state
    assert torch.equal(own, theirs.model.encoder(features(FRAMES)).last_hidden_state)


@pytest.mark.parametrize("frames", [34, 68, 100])
def test_a_cropped_window_is_encoded_as_by_a_model_of_shorter_windows(
    model: Whisper, folder: Path, frames: int
) -> None:
    shorter = WhisperForConditionalGeneration.from_pretrained(
        folder, max_source_positions=frames // 2, ignore_mismatched_sizes=True
    ).eval()
    positions = model.module.model.encoder.embed_positions.weight[: frames // 2]
    shorter.model.encoder.embed_positions.weight.data.copy_(positions)
    own = model.module.model.encoder(features(frames)).last_hidden_state
    assert own.shape == (2, frames // 2, 32)
    torch.testing.assert_close(own, shorter.model.encoder(features(frames)).last_hidden_state)


def test_gradients_of_a_cropped_window_reach_all_weights(folder: Path) -> None:
    model = whisper.load(folder, builders.spec(model="./tiny"), "cpu", torch.float32)
    model.module.train()
    ids = torch.tensor([[3, 4], [5, 6]])
    output = model.module(input_features=features(34), decoder_input_ids=ids, use_cache=False)
    torch.autograd.backward(output.logits.sum())
    encoder = model.module.model.encoder
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []
    assert isinstance(encoder, CroppedEncoder)


def test_weights_keep_their_names(model: Whisper, theirs: WhisperForConditionalGeneration) -> None:
    assert model.module.state_dict().keys() == theirs.state_dict().keys()
