"""What a model family is: a recipe, a recogniser, a packing.

A *recipe* holds no weights. It lives in the processes that load data: it measures a clip, makes an
item from one clip or several, and collates items to a batch. A *recogniser* holds the weights: it
gives the loss of a batch, decodes, and exports. A *packing* says which clips go through the model
together, and what that costs. The training loop knows sums and weights only, so that windows,
length buckets (CTC) and blocks of text (language models) train in the same loop.

A family is a module with one function, `load`, and a row in `catalog/models.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from jobrunner.core.data.layout import Utterance
from jobrunner.spec import RunSpec, TrainSpec

Samples = npt.NDArray[np.float32]


class Batch(Protocol):
    """Items that go through the model together. A DataLoader moves it between processes."""

    @property
    def weight(self) -> float:
        """What the summed loss is divided by: label tokens, frames or masked tokens."""
        ...

    def pin_memory(self) -> Batch:
        """The batch in memory that a GPU can fetch from."""
        ...

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; the copy overlaps with work there."""
        ...


@dataclass(frozen=True, slots=True)
class Unit:
    """Clips that become one item: a packed window, a single clip, a block of text."""

    clips: tuple[int, ...]
    """Places in the list that the packing was made of."""
    samples: int
    """Samples of audio, without padding: what a step's budget counts."""
    weight: float
    """Expected weight of its loss. The batch's own weight is what counts."""
    size: int
    """Units of like size go through the model together, the largest first."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """What the model hears in one clip."""

    text: str
    score: float
    """Mean log-probability of its tokens and of its end, in nats."""
    looped: bool
    """True if the text repeats itself as a decoder does that has lost its place."""


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """Parameters that are trained alike."""

    parameters: Mapping[str, torch.nn.Parameter]
    """By name in the module."""
    decays: bool = True
    """False for norms and biases."""
    rate: float = 1.0
    """Factor of the run's learning rate."""


class Packing(Protocol):
    """Which clips go through the model together, and what that costs."""

    def pack(self, random: np.random.Generator) -> list[Unit]:
        """Every clip in exactly one unit, in an order that the generator alone determines."""
        ...

    def split(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        """The micro-batches of one device, in the order given; each fits its memory."""
        ...

    def cost(self, units: Sequence[Unit]) -> float:
        """Seconds of audio that a micro-batch computes on, padding included."""
        ...


class Recipe(Protocol):
    """How clips become batches. Picklable and without weights."""

    @property
    def rate(self) -> int:
        """Samples a second that the model hears."""
        ...

    @property
    def longest_seconds(self) -> float:
        """Longest clip that the model can hear; infinite where there is no limit."""
        ...

    @property
    def drops(self) -> Mapping[str, str]:
        """Why `measure` may drop a clip: reason for programs → words for people."""
        ...

    def measure(self, clips: Sequence[Utterance]) -> list[Any]:
        """What each clip costs, in a form that `packing` takes; a key of `drops` for one that
        cannot be trained on.

        Raises:
            UsageError: the model does not know the language of a clip.
        """
        ...

    def packing(
        self, clips: Sequence[Utterance], measures: Sequence[Any], spec: RunSpec
    ) -> Packing:
        """The packing of clips that `measure` did not drop."""
        ...

    def item(self, clips: Sequence[Utterance], sounds: Sequence[Samples]) -> Any:
        """One item from the clips of a unit, each with its own language, task and prompt."""
        ...

    def collate(self, items: Sequence[Any]) -> Batch:
        """One batch from items."""
        ...

    def listen(self, sounds: Sequence[Samples]) -> Any:
        """What `Recogniser.decode` takes, of clips of samples (n,)."""
        ...


class Recogniser(Protocol):
    """A model with its weights, set to one language."""

    @property
    def module(self) -> torch.nn.Module:
        """All of its weights."""
        ...

    @property
    def recipe(self) -> Recipe:
        """How its batches are made."""
        ...

    @property
    def criterion(self) -> str:
        """What chooses the best model on the validation split: `rate` decodes and scores; a
        metric of `scoring.metrics` with a loss, `loss` or `perplexity`, does not decode."""
        ...

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        """Loss of a batch summed over its weight, in nats; a scalar.

        Args:
            batch: on the module's device.
            forward: the module as it is wrapped for several ranks.
        """
        ...

    def decode(self, heard: Any) -> list[Hypothesis]:
        """The hypothesis of each clip that `Recipe.listen` took."""
        ...

    def groups(self) -> list[ParameterGroup]:
        """Every trained parameter in one group; frozen ones in none."""
        ...

    def compile(self) -> None:
        """Compiles what repays it with torch.compile."""
        ...

    def export(self, folder: Path) -> None:
        """Writes the model for use in Hugging Face form, in its base model's precision."""
        ...


class Family(Protocol):
    """The module of a family."""

    def load(
        self,
        folder: Path,
        spec: RunSpec,
        device: torch.device | str,
        dtype: torch.dtype,
        *,
        language: str = "",
        train: TrainSpec | None = None,
    ) -> Recogniser:
        """The model in a folder, in evaluation mode.

        Args:
            folder: a published model in Hugging Face form.
            spec: the run.
            device: where its weights go.
            dtype: of its weights.
            language: code of the language to write; the run's own unless given.
            train: dropout, masks and frozen parts, where the model is to be trained.

        Raises:
            DataError: the folder holds no model of the family that can be read.
            UsageError: the model does not know the language.
        """
        ...


def groups_by_decay(module: torch.nn.Module) -> list[ParameterGroup]:
    """Trained parameters in two groups: matrices, which decay, then norms and biases."""
    trained = {name: each for name, each in module.named_parameters() if each.requires_grad}
    return [
        ParameterGroup(parameters={n: p for n, p in trained.items() if p.ndim > 1}),
        ParameterGroup(parameters={n: p for n, p in trained.items() if p.ndim <= 1}, decays=False),
    ]
