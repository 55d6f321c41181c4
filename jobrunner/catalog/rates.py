"""Learning rates of models that are not presets: that of the preset which is nearest in size."""

from __future__ import annotations

import json
import math
from pathlib import Path

from jobrunner.catalog.dimensions import DIMENSIONS
from jobrunner.catalog.models import DEFAULT_LEARNING_RATE, PRESETS


def of_config(config: bytes) -> float:
    """The usual peak rate of a model: that of the Whisper whose width is nearest, as a ratio.

    Args:
        config: content of the model's config.json; without a width, the rate of whisper-small.
    """
    try:
        width = json.loads(config)["d_model"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return DEFAULT_LEARNING_RATE
    if not isinstance(width, int) or width <= 0:
        return DEFAULT_LEARNING_RATE
    # The rates of pre-training follow the width: the turbo model, which has the large one's width
    # and half its weights, was distilled with the large one's rate.
    widths = {preset: DIMENSIONS[preset.name].width for preset in PRESETS.values()}
    return min(widths, key=lambda preset: abs(math.log(widths[preset] / width))).learning_rate


def of_folder(folder: Path) -> float | None:
    """The usual peak rate of the model in a folder; None if its config.json cannot be read."""
    try:
        return of_config((folder / "config.json").read_bytes())
    except OSError:
        return None
