"""The learning rate of a model that has no preset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobrunner.catalog import models, rates
from tests.harness.paths import ROOT


@pytest.mark.parametrize("name", ["tiny", "base", "small", "medium", "large-v3"])
def test_a_model_as_wide_as_a_preset_has_its_rate(name: str) -> None:
    width = {"tiny": 384, "base": 512, "small": 768, "medium": 1024, "large-v3": 1280}[name]
    preset = models.PRESETS[f"whisper-{name}"]
    assert rates.of_config(json.dumps({"d_model": width}).encode()) == preset.learning_rate


def test_other_widths_have_the_rate_of_the_nearest_and_wider_ones_a_smaller_one() -> None:
    found = [rates.of_config(json.dumps({"d_model": w}).encode()) for w in range(64, 2048, 64)]
    assert found == sorted(found, reverse=True)
    assert set(found) == {preset.learning_rate for preset in models.PRESETS.values()}


@pytest.mark.parametrize(
    "config", [b"", b"[]", b"{", b"null", b'{"d_model": "wide"}', b'{"d_model": 0}', b"\xff"]
)
def test_without_a_width_the_rate_is_that_of_the_size_in_the_middle(config: bytes) -> None:
    assert rates.of_config(config) == models.PRESETS["whisper-small"].learning_rate


def test_a_folder_says_its_width_or_nothing(tmp_path: Path) -> None:
    assert rates.of_folder(ROOT / "examples/whisper-micro") == 3.75e-5  # 128 wide, as near as tiny
    assert rates.of_folder(tmp_path) is None
