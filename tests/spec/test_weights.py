"""How many weights a run trains and freezes, known without the model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from jobrunner.catalog import weights as catalog
from jobrunner.catalog.models import FAMILIES, PRESETS
from jobrunner.core.models import whisper
from jobrunner.core.models.frozen import lower
from jobrunner.errors import SpecError
from jobrunner.spec import TrainSpec
from jobrunner.spec.weights import Weights, adapted, count
from tests import builders
from tests.harness.tiny import make_whisper

# Width, layers of encoder and decoder, mel bands and vocabulary, from the models' config.json.
SIZES = {
    "whisper-tiny": (384, 4, 4, 80, 51865),
    "whisper-base": (512, 6, 6, 80, 51865),
    "whisper-small": (768, 12, 12, 80, 51865),
    "whisper-medium": (1024, 24, 24, 80, 51865),
    "whisper-large": (1280, 32, 32, 80, 51865),
    "whisper-large-v2": (1280, 32, 32, 80, 51865),
    "whisper-large-v3": (1280, 32, 32, 128, 51866),
    "whisper-turbo": (1280, 32, 4, 128, 51866),
}


def config_of(preset: str) -> dict[str, int]:
    width, encoder, decoder, mels, vocabulary = SIZES[preset]
    sizes = {"d_model": width, "num_mel_bins": mels, "vocab_size": vocabulary}
    lengths = {"max_source_positions": 1500, "max_target_positions": 448}
    layers = {"encoder_layers": encoder, "decoder_layers": decoder}
    return {
        **{**sizes, **lengths, **layers},
        **{"encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width},
    }


@pytest.mark.parametrize("preset", SIZES)
def test_the_weights_of_a_preset_are_as_many_as_it_has(preset: str) -> None:
    shapes = catalog.of_whisper(config_of(preset))
    assert sum(map(math.prod, shapes.values())) == PRESETS[preset].parameters


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("model"))


def counted(config: dict[str, Any], **options: Any) -> Weights:
    return count(config, TrainSpec(**options), FAMILIES["whisper"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"freeze_encoder": True},
        {"freeze_layers": 1},
        {"freeze": ("model.decoder.embed_tokens", "*.fc1.bias")},
        {"lora_rank": 4},
        {"lora_rank": 3, "lora_targets": ("encoder_attn.q_proj", "fc2"), "freeze_encoder": True},
    ],
    ids=str,
)
def test_the_counts_are_those_of_the_model_that_is_trained(
    folder: Path, options: dict[str, Any]
) -> None:
    spec = builders.spec(**{f"train__{name}": value for name, value in options.items()})
    model = whisper.load(folder, spec, "cpu", torch.float32, train=spec.train)
    names = {name.replace(".base_layer", "") for name, _ in model.module.named_parameters()}
    config = json.loads((folder / "config.json").read_bytes())
    shapes = catalog.of_whisper(config)
    assert shapes.keys() == {name for name in names if ".lora_" not in name}
    lower(model.module, torch.bfloat16)
    parameters = list(model.module.parameters())
    assert counted(config, **options) == Weights(
        trained=sum(p.numel() for p in parameters if p.requires_grad),
        lowered=sum(p.numel() for p in parameters if p.dtype == torch.bfloat16),
        kept=sum(p.numel() for p in parameters if not p.requires_grad and p.dtype == torch.float32),
    )


def test_adapters_of_the_largest_model_are_one_percent_of_it() -> None:
    whole = counted(config_of("whisper-large-v3"))
    found = counted(config_of("whisper-large-v3"), lora_rank=16)
    assert found.trained == 28_835_840
    assert found.lowered + found.kept == whole.trained + whole.kept
    assert found.lowered / (found.lowered + found.kept) > 0.95


def test_a_target_that_matches_nothing_names_its_neighbours() -> None:
    with pytest.raises(SpecError, match=r"'qproj' matches no linear layer .* Nearest: q_proj"):
        adapted(["model.encoder.layers.0.self_attn.q_proj"], TrainSpec(lora_targets=("qproj",)))
    with pytest.raises(SpecError, match="lora_targets is empty"):
        builders.spec(train__lora_rank=1, train__lora_targets=())
