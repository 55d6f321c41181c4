"""How long a training will be and what it costs, as far as that is known before it starts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from jobrunner.catalog import flops, models
from jobrunner.catalog.dimensions import DIMENSIONS
from jobrunner.catalog.gpus import peak_tflops
from jobrunner.spec import schedule
from jobrunner.spec.run import RunSpec

# Share of a GPU's peak that Whisper training reaches: an estimate in the style of SkyPilot.
UTILISATION = 0.3
# Seconds of speech in a window of 30 s, of which packing fills 92 %.
WINDOW = 0.92 * 30.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The size of a training."""

    steps: int | None
    """Optimiser steps; None if nothing limits them before the data are known."""
    exact: bool
    """False if the steps are the most there can be, because the data are not known yet."""
    seconds: float = 0.0
    """Speech of the training set; 0 if it is not known."""
    gpu_hours: float | None = None
    """Hours × GPUs; None if unknown (CPU, own models) or if nothing is trained."""


def estimate(spec: RunSpec, seconds: float = 0.0) -> Estimate:
    """The estimate for the training stage of a run.

    Args:
        spec: spec of the run.
        seconds: speech of its training set; 0 if it is not known.
    """
    train = spec.train
    exact = train.is_exact or seconds > 0
    steps = schedule.steps(train, seconds) if exact else schedule.most_steps(train)
    return Estimate(steps=steps, exact=exact, seconds=seconds, gpu_hours=_gpu_hours(spec, steps))


def _gpu_hours(spec: RunSpec, steps: int | None) -> float | None:
    """FLOP of all windows over FLOP that a GPU sustains."""
    sizes = DIMENSIONS.get(spec.model)
    if not spec.resources.wanted_gpus or sizes is None or not steps or spec.task != "fine-tune":
        return None
    windows = steps * spec.train.batch_seconds / WINDOW
    tflop = flops.of_window(sizes, frozen_encoder=spec.train.freeze_encoder)
    peak = peak_tflops(spec.resources.gpu_product)
    return windows * tflop / (peak * UTILISATION) / 3600


def usual_rate(spec: RunSpec, of_folder: float | None) -> float | None:
    """The peak learning rate that training will have; None if only `prepare` will know.

    Args:
        spec: spec of the run.
        of_folder: the usual rate of the model in a folder of this machine.
    """
    if spec.train.learning_rate:
        return spec.train.learning_rate
    preset = models.PRESETS.get(spec.model)
    rate = preset.learning_rate if preset else of_folder
    return models.for_adapters(rate) if rate and spec.train.lora_rank else rate
