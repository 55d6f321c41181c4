"""What a training attempt works with: device, model, optimiser, data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data.dataset import Dataset
from jobrunner.core.devices import choose_device, choose_dtype
from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.training.feed import Dropped, Feed, Windows
from jobrunner.core.training.optimiser import make_optimiser, seed_step, trained
from jobrunner.errors import DeviceError
from jobrunner.spec import names
from jobrunner.spec.placement import ResourcesSpec
from jobrunner.storage import folders


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The same on every rank, but for the feed."""

    accelerator: Any
    whisper: Whisper
    base: Path
    """Folder of the base model."""
    module: torch.nn.Module
    """The model as the loss goes through it: with autocast, and DDP over several ranks."""
    optimiser: torch.optim.AdamW
    parameters: list[torch.nn.Parameter]
    """Those that are trained."""
    dataset: Dataset
    feed: Feed
    dropped: Dropped

    @property
    def device(self) -> torch.device:
        """Where this rank computes."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def ranks(self) -> int:
        """Processes that share each step."""
        return int(self.accelerator.num_processes)

    @property
    def first(self) -> bool:
        """True on the rank that saves, reports and talks."""
        return bool(self.accelerator.is_main_process)


def make_accelerator(resources: ResourcesSpec) -> Accelerator:
    """The accelerator of this process.

    Raises:
        DeviceError: fewer GPUs are seen than the run asks for.
    """
    device = choose_device(resources)
    seen = torch.cuda.device_count()
    if device.type == "cuda" and seen < resources.gpus:
        raise DeviceError(
            f"The run asks for {resources.gpus} GPUs and sees {seen}.",
            hint=f"Submit it with --gpus {seen}; it goes on there.",
        )
    dtype = choose_dtype(resources, device)
    # Matrix products of what stays in fp32 run on tensor cores with 10 bits of mantissa (TF32).
    torch.set_float32_matmul_precision("high")
    if device.type == "cpu":
        # Threads would add up the embedding's gradient in the order in which they arrive: two
        # undisturbed runs of whisper-micro differed from their first gradient on.
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if dtype == torch.bfloat16 else "no",
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )


def set_up(context: StageContext) -> Setup:
    """Loads model and data for training.

    Raises:
        DeviceError: fewer GPUs are seen than the run asks for.
        DataError: no clip can be trained on, or the base model cannot be read.
        NotFound: data or base model are not in storage.
        UsageError: the model has no token for the language.
    """
    spec = context.spec
    accelerator = make_accelerator(spec.resources)
    # Weights that a folder does not hold are drawn at random: the same on each attempt and rank.
    seed_step(spec.seed, 0, 0)
    base = folders.fetch(context.storage, names.model_prefix(spec), context.scratch)
    model = whisper.load(base, spec, accelerator.device, torch.float32, train=spec.train)
    model.model.train()
    if spec.resources.compile:
        model.model.model.encoder.compile(dynamic=False)
    dataset = Dataset.open(context.storage, names.data_prefix(spec, spec.lang), context.scratch)
    windows = Windows(dataset, dataset.utterances("train"), model)
    feed = Feed(
        windows,
        spec,
        window_seconds=model.window_seconds,
        rank=accelerator.process_index,
        ranks=accelerator.num_processes,
        pin=accelerator.device.type == "cuda",
    )
    module = accelerator.prepare(model.model)
    return Setup(
        accelerator=accelerator,
        whisper=model,
        base=base,
        module=module,
        optimiser=make_optimiser(model.model, spec.train),
        parameters=list(trained(model.model).values()),
        dataset=dataset,
        feed=feed,
        dropped=windows.dropped,
    )
