"""Defaults that depend on other values: learning rate, warm-up, save points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.catalog import models
from jobrunner.spec.paths import settings

# Most steps that a killed run loses by default; also the default of `save_every` in the spec.
MOST_BETWEEN_SAVES = 250


def derived(given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Value and origin by dotted path, for fields that were not given.

    Args:
        given: the user's values by dotted path; the spec refuses wrong ones later.
    """
    defaults: dict[str, tuple[Any, str]] = {}
    model = given.get("model", settings()["model"].default)
    preset = models.PRESETS.get(model) if isinstance(model, str) else None
    lora = bool(_given(given, "train.lora_rank"))
    if preset or lora:
        rate = models.learning_rate(preset.name if preset else "", lora=lora)
        origin = f"preset of {preset.name}" if preset else "default"
        times = f", times {models.LORA_RATE:g} for LoRA" if lora else ""
        defaults["train.learning_rate"] = (rate, origin + times)
    steps = _count(given, "train.steps")
    if steps:
        warmup = min(int(settings()["train.warmup_steps"].default), steps // 5)
        defaults["train.warmup_steps"] = (warmup, "follows from train.steps")
        defaults |= _save_points(given, steps)
    return {path: value for path, value in defaults.items() if path not in given}


def _save_points(given: Mapping[str, Any], steps: int) -> dict[str, tuple[Any, str]]:
    """Steps between saves and between validations; the latter are a multiple of the former."""
    most = min(MOST_BETWEEN_SAVES, steps)
    save, validate = _given(given, "train.save_every"), _given(given, "train.validate_every")
    if validate and not save:
        save = next(n for n in range(min(most, validate), 0, -1) if validate % n == 0)
        return {"train.save_every": (save, "follows from train.validate_every")}
    if save and not validate:
        multiple = max(1, most // save) * save
        return {"train.validate_every": (multiple, "follows from train.save_every")}
    default = (most, "follows from train.steps")
    return {"train.save_every": default, "train.validate_every": default}


def _count(given: Mapping[str, Any], path: str) -> int:
    value = given.get(path, settings()[path].default)
    return value if type(value) is int and value > 0 else 0


def _given(given: Mapping[str, Any], path: str) -> int:
    return _count(given, path) if path in given else 0
