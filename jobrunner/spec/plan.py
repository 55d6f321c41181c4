"""Spec → stages, who releases whom, and what it will cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobrunner.catalog import models
from jobrunner.spec import names
from jobrunner.spec.run import RunSpec

Kind = Literal["prepare", "train", "evaluate"]

# bf16 matrix peak in TFLOP/s of one device (vendors' data sheets, dense).
PEAK_TFLOPS = {
    "A100": 312.0,
    "H100": 989.0,
    "H200": 989.0,
    "L4": 121.0,
    "T4": 65.0,
    "L40S": 362.0,
}
# Share of the peak that packed Whisper training reaches; SkyPilot-style estimates, not promises.
UTILISATION = 0.3
# Seconds of audio that one GPU decodes per second with large-v3 in batches (Open ASR leaderboard).
DECODE_SPEED = 145.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a run: a Job on a cluster, a process on this machine."""

    name: str
    """Unique in the run: `prepare`, `train`, `evaluate-el`."""
    kind: Kind
    args: tuple[str, ...]
    """What follows `python -m jobrunner.core`."""
    gpus: int
    after: tuple[str, ...] = ()
    """Stages that must have succeeded."""
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All stages of one run, in an order in which each comes after those it waits for."""

    run: str
    spec: RunSpec
    stages: tuple[Stage, ...]
    gpu_hours: float | None
    """Estimate for training and evaluation; None where nothing is known (CPU, own models)."""

    def released_by(self, stage: str) -> tuple[Stage, ...]:
        """The stages that `stage` releases when it has succeeded."""
        return tuple(other for other in self.stages if stage in other.after)

    def before(self, stage: str) -> frozenset[str]:
        """All stages that must have succeeded before `stage`, however far back."""
        direct = next(other.after for other in self.stages if other.name == stage)
        return frozenset(direct).union(*map(self.before, direct))


def plan(spec: RunSpec) -> Plan:
    """The plan of a run: prepare → train → one evaluation per language."""
    gpus = 0 if spec.resources.device == "cpu" else spec.resources.gpus
    stages = [Stage(name="prepare", kind="prepare", args=("prepare",), gpus=0)]
    last = "prepare"
    if spec.task == "fine-tune":
        stages.append(Stage(name="train", kind="train", args=("train",), gpus=gpus, after=(last,)))
        last = "train"
    for language in spec.evaluation_languages:
        stages.append(
            Stage(
                name=f"evaluate-{names.slug(language, 8)}",
                kind="evaluate",
                args=("evaluate", "--lang", language),
                gpus=min(gpus, 1),
                after=(last,),
                language=language,
            )
        )
    return Plan(
        run=names.run_id(spec),
        spec=spec,
        stages=tuple(stages),
        gpu_hours=_gpu_hours(spec, gpus),
    )


def _gpu_hours(spec: RunSpec, gpus: int) -> float | None:
    """Hours × GPUs of the training stage: FLOP of the windows over what the GPU sustains."""
    preset = models.PRESETS.get(spec.model)
    if not gpus or preset is None or spec.task != "fine-tune":
        return None
    product = spec.resources.gpu_product.upper()
    peak = next((p for name, p in PEAK_TFLOPS.items() if name in product), PEAK_TFLOPS["A100"])
    # Packed windows hold about 26 of their 30 seconds.
    windows = spec.train.steps * spec.train.batch_seconds / 26.0
    return windows * preset.window_tflop / (peak * UTILISATION) / 3600
