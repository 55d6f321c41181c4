"""The setup of a training attempt: device, model, optimiser, data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data.dataset import Dataset
from jobrunner.core.devices import DTYPES, choose_device, choose_precision
from jobrunner.core.models import family_of
from jobrunner.core.models.base import ParameterGroup, Recogniser
from jobrunner.core.models.frozen import lower
from jobrunner.core.training import agreement
from jobrunner.core.training.feed import Feed, Items
from jobrunner.core.training.optimiser import make_optimiser, seed_step
from jobrunner.core.training.step.exchange import ddp_options
from jobrunner.core.training.step.memory import Memory, make_room
from jobrunner.errors import DeviceError
from jobrunner.spec import keys
from jobrunner.spec.placement import ResourcesSpec
from jobrunner.storage import folders


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Model, optimiser and data of one rank. Only `feed` differs between ranks."""

    accelerator: Any
    model: Recogniser
    module: torch.nn.Module
    """The model as the loss uses it: with autocast, and DDP over several ranks."""
    groups: list[ParameterGroup]
    """Parameters that are trained, in the order of the optimiser's groups."""
    optimiser: torch.optim.Optimizer
    dataset: Dataset
    feed: Feed
    memory: Memory
    """What goes through the model at a time."""
    dropped: Mapping[str, int]
    """Clips that are not trained on, by reason."""

    @cached_property
    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that are trained, by name and in the module's order; tied ones once."""
        grouped = {name for group in self.groups for name in group.parameters}
        parameters = self.model.module.named_parameters()
        return {name: parameter for name, parameter in parameters if name in grouped}

    @property
    def device(self) -> torch.device:
        """Device of this rank."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def ranks(self) -> int:
        """Processes that share each step."""
        return int(self.accelerator.num_processes)

    @property
    def first(self) -> bool:
        """True on the rank that saves, reports and logs."""
        return bool(self.accelerator.is_main_process)


def make_accelerator(resources: ResourcesSpec) -> Accelerator:
    """The accelerator of this process.

    Raises:
        DeviceError: fewer GPUs are visible than the run requests.
    """
    device = choose_device(resources)
    seen = torch.cuda.device_count()
    if device.type == "cuda" and seen < resources.gpus:
        raise DeviceError(
            f"The run asks for {resources.gpus} GPUs and sees {seen}.",
            hint=f"Submit it with --gpus {seen}; it continues where it stopped.",
        )
    precision = choose_precision(resources, device)
    # Matrix products that stay in fp32 run on tensor cores with 10 bits of mantissa (TF32).
    torch.set_float32_matmul_precision("high")
    if device.type == "cpu":
        # Threads would add up the embedding's gradient in order of arrival: two undisturbed runs
        # differed from the first gradient.
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        kwargs_handlers=[
            ddp_options(DTYPES[precision]),
            InitProcessGroupKwargs(timeout=agreement.COLLECTIVE),
        ],
    )
    if precision == "fp16":
        # Accelerate itself does so on GPUs only.
        accelerator.native_amp = True
        accelerator.scaler = torch.amp.GradScaler(device.type)
    return accelerator


def set_up(context: StageContext) -> Setup:
    """Loads model and data for training.

    Raises:
        DeviceError: fewer GPUs are visible than the run requests.
        DataError: no clip can be trained on, or the base model cannot be read.
        Lost: data or base model are missing or damaged in storage.
        UsageError: the model does not know the language.
    """
    spec = context.spec
    accelerator = make_accelerator(spec.resources)
    # Weights that the folder lacks are drawn at random: the same on every attempt and rank.
    seed_step(spec.seed, 0, 0)
    folder = folders.fetch(context.storage, keys.model_prefix(spec), context.scratch)
    family = family_of(folder)
    model = family.load(folder, spec, accelerator.device, torch.float32, train=spec.train)
    model.module.train()
    precision = choose_precision(spec.resources, accelerator.device)
    half = precision != "fp32"
    if half:
        lower(model.module, DTYPES[precision])
    ranks = accelerator.num_processes
    room = make_room(model, spec, accelerator.device, half=half, ranks=ranks)
    if spec.resources.compile:
        model.compile()
    prefix = keys.data_prefix(spec, spec.lang)
    dataset = Dataset.open(context.storage, prefix, context.scratch, language=spec.lang)
    items = Items(dataset, dataset.utterances("train"), model.recipe)
    feed = Feed(
        items,
        model.recipe,
        spec,
        room=room,
        rank=accelerator.process_index,
        ranks=accelerator.num_processes,
        pin=accelerator.device.type == "cuda",
    )
    module = accelerator.prepare(model.module)
    groups = model.groups()
    return Setup(
        accelerator=accelerator,
        model=model,
        module=module,
        groups=groups,
        optimiser=make_optimiser(groups, spec.train),
        dataset=dataset,
        feed=feed,
        memory=Memory(spec, room, context.log, context.progress.event),
        dropped=items.dropped,
    )
