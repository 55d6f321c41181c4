"""Which files of a model on the hub are wanted."""

from __future__ import annotations

import pytest

from jobrunner.core.hub import model_files
from jobrunner.errors import SpecError


def test_of_a_model_in_parts_all_parts_and_their_index_are_taken() -> None:
    parts = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = "model.safetensors.index.json"
    others = ["config.json", "vocab.json", "pytorch_model.bin.index.json", "runs/events.json"]
    found = model_files([*parts, index, *others], "m")
    assert found == sorted([*parts, index, "config.json", "vocab.json"])
    with pytest.raises(SpecError, match="m has only 1 of 2 files of weights"):
        model_files([parts[0], index, *others], "m")
    with pytest.raises(SpecError, match="m has no weights as safetensors"):
        model_files([*parts, *others], "m")
    with pytest.raises(SpecError, match=r"m has no config\.json"):
        model_files(parts, "m")
