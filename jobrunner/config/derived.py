"""Defaults that depend on other values: learning rate, warm-up, save points, a node's share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobrunner.catalog import gpus, models
from jobrunner.spec.paths import settings

# Most steps that a killed run loses by default; also the default of `save_every` in the spec.
MOST_BETWEEN_SAVES = 250
# Passes over the training speech. Recipes for Whisper take 5 to 10 on 10 to 100 h of speech; the
# default of `train.steps` ends the training of larger sets before.
EPOCHS = 8.0
# Validations without a gain that end a training whose number of steps nobody asked for.
PATIENCE = 3
# GiB of /dev/shm for the processes that load data for one GPU; the default of the spec too.
SHARED_GIB = 8


def derived(given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Value and origin by dotted path, for fields that were not given.

    Args:
        given: the user's values by dotted path; the spec refuses wrong ones later.
    """
    defaults: dict[str, tuple[Any, str]] = {}
    model = given.get("model", settings()["model"].default)
    if isinstance(model, str):
        defaults["train.learning_rate"] = _rate(model, lora=_given(given, "train.lora_rank") > 0)
    steps, epochs = _given(given, "train.steps"), given.get("train.epochs", EPOCHS)
    if epochs == 0 or (steps and "train.epochs" not in given):
        defaults |= _of_steps(given, steps or int(settings()["train.steps"].default))
    else:
        defaults |= _of_epochs(given)
    defaults |= _of_gpus(given)
    return {path: value for path, value in defaults.items() if path not in given}


def _rate(model: str, *, lora: bool) -> tuple[float, str]:
    preset = models.PRESETS.get(models.canonical(model))
    if preset:
        times = f", times {models.LORA_RATE:g} for LoRA" if lora else ""
        return models.learning_rate(preset.name, lora=lora), f"preset of {preset.name}{times}"
    return 0.0, "follows from the model's size"


def _of_steps(given: Mapping[str, Any], steps: int) -> dict[str, tuple[Any, str]]:
    """Defaults for a number of steps that is known before the data are."""
    warmup = min(int(settings()["train.warmup_steps"].default), steps // 5)
    return {
        "train.warmup_steps": (warmup, "follows from train.steps"),
        **_save_points(given, min(MOST_BETWEEN_SAVES, steps), "train.steps"),
    }


def _of_epochs(given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Defaults for a training whose steps follow from its data (`spec/schedule.py`)."""
    epochs, follows = "train.epochs", "follows from train.epochs"
    defaults: dict[str, tuple[Any, str]] = {"train.patience": (PATIENCE, follows)}
    if epochs not in given:
        defaults[epochs] = (EPOCHS, "default without train.steps")
    else:
        defaults["train.steps"] = (0, follows)
    return defaults | _save_points(given, MOST_BETWEEN_SAVES, epochs)


def _of_gpus(given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Cores, memory and shared memory of a node's share for the GPUs of training."""
    product = given.get("resources.gpu_product", "")
    gpu = gpus.find(product) if isinstance(product, str) else None
    number = given.get("resources.gpus", settings()["resources.gpus"].default)
    if type(number) is not int or number < 1 or (number == 1 and gpu is None):
        return {}
    gpu = gpu or gpus.ANY
    origin = "follows from resources.gpus" if number > 1 else f"for one {gpu.name}"
    return {
        "resources.cpu": (str(number * gpu.host_cpus), origin),
        "resources.memory": (f"{number * gpu.host_memory_gib}Gi", origin),
        "resources.shared_memory": (f"{number * SHARED_GIB}Gi", origin),
    }


def _save_points(given: Mapping[str, Any], most: int, from_path: str) -> dict[str, tuple[Any, str]]:
    """Steps between saves and between validations; the latter are a multiple of the former."""
    save, validate = _given(given, "train.save_every"), _given(given, "train.validate_every")
    if validate and not save:
        save = next(n for n in range(min(most, validate), 0, -1) if validate % n == 0)
        return {"train.save_every": (save, "follows from train.validate_every")}
    if save and not validate:
        multiple = max(1, most // save) * save
        return {"train.validate_every": (multiple, "follows from train.save_every")}
    default = (most, f"follows from {from_path}")
    return {"train.save_every": default, "train.validate_every": default}


def _given(given: Mapping[str, Any], path: str) -> int:
    """The number that was given; 0 if none was, or none that can be counted with."""
    value = given.get(path, 0)
    return value if type(value) is int and value > 0 else 0
