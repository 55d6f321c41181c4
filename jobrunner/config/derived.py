"""Defaults that depend on other values: learning rate, warm-up, save points, a node's share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.catalog import gpus, models
from jobrunner.spec.paths import settings

# Most steps that a killed run loses by default; also the default of `save_every` in the spec.
MOST_BETWEEN_SAVES = 250
# GiB of /dev/shm for the processes that load data for one GPU; the default of the spec too.
SHARED_GIB = 8


def derived(given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Value and origin by dotted path, for fields that were not given.

    Args:
        given: the user's values by dotted path; the spec refuses wrong ones later.
    """
    defaults: dict[str, tuple[Any, str]] = {}
    model = given.get("model", settings()["model"].default)
    preset = models.PRESETS.get(model) if isinstance(model, str) else None
    if preset:
        defaults["train.learning_rate"] = (preset.learning_rate, f"preset of {preset.name}")
    steps = _count(given, "train.steps")
    if steps:
        warmup = min(int(settings()["train.warmup_steps"].default), steps // 5)
        defaults["train.warmup_steps"] = (warmup, "follows from train.steps")
        defaults |= _save_points(given, steps)
    defaults |= _of_gpus(given)
    return {path: value for path, value in defaults.items() if path not in given}


def _of_gpus(given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Cores, memory and shared memory of a node's share for the GPUs of training."""
    product = given.get("resources.gpu_product", "")
    gpu = gpus.find(product) if isinstance(product, str) else None
    number = _count(given, "resources.gpus")
    if not number or (number == 1 and gpu is None):
        return {}
    gpu = gpu or gpus.ANY
    origin = "follows from resources.gpus" if number > 1 else f"for one {gpu.name}"
    return {
        "resources.cpu": (str(number * gpu.host_cpus), origin),
        "resources.memory": (f"{number * gpu.host_memory_gib}Gi", origin),
        "resources.shared_memory": (f"{number * SHARED_GIB}Gi", origin),
    }


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
