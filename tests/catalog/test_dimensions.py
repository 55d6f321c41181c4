"""Dimensions of the presets: they have the weights that the models have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors

from jobrunner.catalog.dimensions import DIMENSIONS, of_config
from jobrunner.catalog.models import PRESETS

MICRO = Path(__file__).parents[2] / "examples" / "whisper-micro"


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_has_dimensions_of_as_many_weights(name: str) -> None:
    # An English-only model has one token less, which the catalog's number leaves out of account.
    sizes = DIMENSIONS[name]
    less = sizes.width if PRESETS[name].english_only else 0
    assert sizes.weights + less == PRESETS[name].parameters


def test_dimensions_of_a_folder_are_those_of_its_weights() -> None:
    sizes = of_config(json.loads((MICRO / "config.json").read_text()))
    with safetensors.safe_open(MICRO / "model.safetensors", "np") as file:
        held = sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118
    assert sizes.weights == held
    with pytest.raises(KeyError):
        of_config({"d_model": 64})
