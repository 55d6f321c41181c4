"""Whether a run fits into the memory of a GPU, how, and what would if it does not. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobrunner.catalog import models
from jobrunner.catalog.dimensions import DIMENSIONS, Dimensions
from jobrunner.catalog.gpus import GPUS, memory_gib
from jobrunner.errors import SpecError
from jobrunner.spec import weights
from jobrunner.spec.memory import (
    ADAMW8_BYTES,
    ADAMW_BYTES,
    CONTEXT,
    FULL,
    GIB,
    HALF,
    Cost,
    Room,
    Weights,
)
from jobrunner.spec.run import RunSpec
from jobrunner.spec.train import TrainSpec

# A layer of four windows multiplies 6,000 rows at a time, enough to keep a GPU's units busy. More
# of them gain little, while activation checkpointing costs a second forward pass, a third of the
# time.
ENOUGH_WINDOWS = 4
# Rank of the adapters that are named where all weights do not fit.
_RANK = 16


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """The memory that the training of a run takes on each of its GPUs."""

    cost: Cost
    windows: int
    """Whole windows that go through the model together; at least one."""
    bytes: float
    """Most bytes at any time, with as many label tokens as the model can write, and with those
    of CUDA itself."""
    gib: float | None
    """Memory of the GPU; None if the product is not known."""
    fits: bool
    """False if not even one window fits."""


def weights_of(sizes: Dimensions, train: TrainSpec, *, half: bool = True) -> Weights:
    """The weights of a Whisper by its options of training.

    Args:
        sizes: dimensions of the model.
        train: options of the run.
        half: True if products are computed in bf16 or fp16, and frozen matrices held in it.

    Raises:
        SpecError: an option freezes, or adapts, what the model does not have.
    """
    family = models.FAMILIES["whisper"]
    numbers = weights.count(sizes.config, train, family)
    matrices = HALF if half else FULL
    return Weights(
        trained=numbers.trained,
        frozen_bytes=numbers.lowered * matrices + numbers.kept * FULL,
        copied=numbers.trained + (numbers.kept if train.lora_rank else 0),
        optimiser_bytes=optimiser_bytes(train),
        first_layer=sizes.encoder_layers if train.freeze_encoder else train.freeze_layers,
    )


def optimiser_bytes(train: TrainSpec) -> float:
    """Bytes that the optimiser keeps for each trained weight."""
    return ADAMW8_BYTES if train.optimiser == "adamw8bit" else ADAMW_BYTES


def recomputes(setting: str, plain: Cost, room: Room, enough: int = ENOUGH_WINDOWS) -> bool:
    """Whether activation checkpointing is on; `auto` decides by what fits without it.

    Args:
        setting: `auto`, `on` or `off`.
        plain: cost without it.
        room: what the device takes at a time without it.
        enough: windows for which it stays off.
    """
    if setting != "auto":
        return setting == "on"
    sizes = plain.sizes
    wanted = max(1, min(enough, int(min(room.seconds, enough * sizes.seconds) / sizes.seconds)))
    return room.most(sizes.seconds, sizes.tokens, wanted=wanted) < wanted


def usable(gib: float) -> float:
    """Bytes that are planned with on a GPU of so much memory."""
    return gib * GIB - CONTEXT


def cost_of(spec: RunSpec, sizes: Dimensions, *, checkpointing: bool) -> Cost:
    """The cost of training by a spec."""
    half = spec.resources.precision != "fp32"
    return Cost(
        sizes=sizes,
        weights=weights_of(sizes, spec.train, half=half),
        half=half,
        checkpointing=checkpointing,
        dropout=spec.train.dropout > 0,
    )


def estimate(spec: RunSpec, sizes: Dimensions) -> MemoryEstimate | None:
    """The memory on each GPU; None for a run that trains on none."""
    gpus, resources = spec.resources.wanted_gpus, spec.resources
    if not gpus or spec.task != "fine-tune":
        return None
    gib = memory_gib(resources.gpu_product)
    limit = usable(gib) if gib else math.inf
    seconds = resources.device_seconds or math.inf
    cost = cost_of(spec, sizes, checkpointing=False)
    room = Room(cost=cost, limit=limit, seconds=seconds)
    # An unknown GPU: what any must have, one window at a time.
    if recomputes(resources.activation_checkpointing, cost, room) or (
        gib is None and resources.activation_checkpointing == "auto"
    ):
        cost = cost_of(spec, sizes, checkpointing=True)
        room = Room(cost=cost, limit=limit, seconds=seconds)
    in_step = math.ceil(spec.train.batch_seconds / sizes.seconds / gpus)
    most = room.most(sizes.seconds, sizes.tokens, wanted=in_step) if gib else 1
    windows = max(1, most)
    taken = cost.bytes(windows, sizes.seconds, sizes.tokens) + CONTEXT
    return MemoryEstimate(cost=cost, windows=windows, bytes=taken, gib=gib, fits=most > 0)


def check(spec: RunSpec, sizes: Dimensions, *, profiles: bool = True) -> MemoryEstimate | None:
    """The estimate of a run whose training fits.

    Args:
        spec: spec of the run.
        sizes: dimensions of its model.
        profiles: True where a profile can be chosen.

    Raises:
        SpecError: not even one window fits into the GPU's memory.
    """
    found = estimate(spec, sizes)
    if found is None or found.gib is None or found.fits:
        return found
    ways = remedies(spec, sizes, usable(found.gib), profiles=profiles)
    raise SpecError(
        "model",
        f"{spec.model} needs {found.bytes / GIB:.1f} GiB of memory for one window at a time, and "
        f"{spec.resources.gpu_product} has {found.gib:.1f}.",
        hint=f"What fits: {'; '.join(ways)}." if ways else "Choose a smaller model.",
    )


def remedies(spec: RunSpec, sizes: Dimensions, limit: float, *, profiles: bool = True) -> list[str]:
    """Options with which one window at a time fits, each by itself.

    Args:
        spec: spec of a run that does not fit.
        sizes: dimensions of its model.
        limit: bytes for everything.
        profiles: True where a profile can be chosen.
    """
    ways = []
    checkpointed = _with(spec, "resources", activation_checkpointing="auto")
    if spec.resources.activation_checkpointing == "off" and _fits(checkpointed, sizes, limit):
        ways.append("--set resources.activation_checkpointing=auto")
    frozen = _with(checkpointed, "train", freeze_encoder=True)
    if not spec.train.freeze_encoder and _fits(frozen, sizes, limit):
        ways.append("--set train.freeze_encoder=true" + _also(spec))
    adapted = _with(checkpointed, "train", lora_rank=_RANK)
    if not spec.train.lora_rank and _fits(adapted, sizes, limit):
        ways.append(f"--set train.lora_rank={_RANK}" + _also(spec))
    smaller = [
        name
        for name, size in DIMENSIONS.items()
        if size.weights < sizes.weights and _knows(name, spec) and _fits(checkpointed, size, limit)
    ]
    if smaller:
        best = max(smaller, key=lambda name: (DIMENSIONS[name].weights, name))
        ways.append(f"--model {best}" + _also(spec))
    larger = [
        gpu
        for gpu in GPUS
        if profiles and gpu.profile and _fits(spec, sizes, usable(gpu.memory_gib))
    ]
    if larger and spec.resources.gpu_product:
        least = min(larger, key=lambda gpu: (gpu.memory_gib, gpu.peak_tflops))
        ways.append(f"--profile {least.profile}")
    return ways


def _fits(spec: RunSpec, sizes: Dimensions, limit: float) -> bool:
    on = spec.resources.activation_checkpointing != "off"
    cost = cost_of(spec, sizes, checkpointing=on)
    return cost.planned(1, sizes.seconds, sizes.tokens) <= limit


def _with(spec: RunSpec, part: str, **changes: object) -> RunSpec:
    return spec.model_copy(update={part: getattr(spec, part).model_copy(update=changes)})


def _also(spec: RunSpec) -> str:
    """A setting that is needed too, where checkpointing was switched off."""
    off = spec.resources.activation_checkpointing == "off"
    return " --set resources.activation_checkpointing=auto" if off else ""


def _knows(name: str, spec: RunSpec) -> bool:
    """True if a preset knows the languages of a run."""
    try:
        for code in spec.languages:
            models.check_language(name, code, field="model")
    except SpecError:
        return False
    return not models.PRESETS[name].english_only or spec.model.endswith(".en")
