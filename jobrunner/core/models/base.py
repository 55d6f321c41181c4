"""Protocols of a model family: a recipe, a recogniser, a packing.

A *recipe* has no weights. It works in the processes that load data: it measures a clip, makes an
item from one clip or several, and collates items into a batch. A *recogniser* has the weights: it
computes the loss of a batch, decodes, and exports. A *packing* decides which clips go through the
model together, and what that costs. The training loop knows only sums and weights, so windows,
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

# More than anyone says: the fastest of 170 readers in 17 languages spoke 9.1 syllables a second
# (Coupé et al. 2019, Science Advances 5), and a syllable has 2 to 3.2 characters in all scripts.
CHARACTERS_A_SECOND = 35


class Batch(Protocol):
    """Items that go through the model together. A DataLoader moves it between processes."""

    @property
    def weight(self) -> float:
        """Divisor of the summed loss: label tokens, frames or masked tokens."""
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
    """Positions in the packing's list of clips."""
    samples: int
    """Samples of audio, without padding; a step's budget counts these."""
    weight: float
    """Expected weight of its loss; in the end the batch's own weight counts."""
    size: int
    """Units of similar size go through the model together, the largest first."""
    shape: int = 0
    """Only units of equal shape go through the model together, if a family crops its inputs; for
    windows the samples with padding."""
    timed: bool = False
    """Labels carry the times at which each clip begins and ends."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """The model's text for one clip."""

    text: str
    score: float
    """Mean log-probability of its tokens and of its end, in nats."""
    looped: bool
    """True if the text repeats itself, a sign that the decoder lost its place."""


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """Parameters that are trained with the same options."""

    parameters: Mapping[str, torch.nn.Parameter]
    """Parameters by their names in the module."""
    decays: bool = True
    """False for norms and biases."""
    rate: float = 1.0
    """Factor of the run's learning rate."""


class Packing(Protocol):
    """Decides which clips go through the model together, and what that costs."""

    def pack(self, random: np.random.Generator) -> list[Unit]:
        """Every clip in exactly one unit, in an order that depends only on the generator."""
        ...

    def split(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        """The micro-batches of one device, in the order given; each fits into its memory, and
        holds units of one shape."""
        ...

    def cost(self, units: Sequence[Unit]) -> float:
        """Seconds of audio that a micro-batch computes on, padding included."""
        ...


class Recipe(Protocol):
    """Turns clips into batches. It can be pickled and has no weights."""

    @property
    def rate(self) -> int:
        """Samples a second of the model's input."""
        ...

    @property
    def longest_seconds(self) -> float:
        """Longest clip that the model can hear; infinite if there is no limit."""
        ...

    @property
    def drops(self) -> Mapping[str, str]:
        """Reasons for which `measure` may drop a clip: name for programs → words for people."""
        ...

    def measure(self, clips: Sequence[Utterance]) -> list[Any]:
        """The cost of each clip, in a form for `packing`; a key of `drops` for a clip that cannot
        be trained on.

        Raises:
            UsageError: the model does not know the language of a clip.
        """
        ...

    def packing(
        self, clips: Sequence[Utterance], measures: Sequence[Any], spec: RunSpec
    ) -> Packing:
        """The packing of clips that `measure` did not drop."""
        ...

    def item(
        self, clips: Sequence[Utterance], sounds: Sequence[Samples], unit: Unit | None = None
    ) -> Any:
        """One item from the clips of a unit, each with its own language, task and prompt.

        Args:
            clips: the clips.
            sounds: samples (n,) of each.
            unit: the unit as packed; None for clips that were not packed, as in validation.
        """
        ...

    def collate(self, items: Sequence[Any]) -> Batch:
        """One batch from items."""
        ...

    def listen(self, sounds: Sequence[Samples]) -> Any:
        """The input of `Recogniser.decode`, from clips of samples (n,)."""
        ...


class Recogniser(Protocol):
    """A model with its weights, set to one language."""

    @property
    def module(self) -> torch.nn.Module:
        """All of its weights."""
        ...

    @property
    def recipe(self) -> Recipe:
        """The recipe that makes its batches."""
        ...

    @property
    def criterion(self) -> str:
        """Criterion of the best model on the validation split: `rate` decodes and scores; `loss`
        and `perplexity`, metrics of `scoring.metrics`, do not decode."""
        ...

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        """Loss of a batch summed over its weight, in nats; a scalar.

        Args:
            batch: a batch on the module's device.
            forward: the module as wrapped for several ranks; the module itself if None.
        """
        ...

    def decode(self, heard: Any) -> list[Hypothesis]:
        """The hypothesis of each clip that was given to `Recipe.listen`."""
        ...

    def groups(self) -> list[ParameterGroup]:
        """Groups of the trained parameters: each one is in one group, frozen ones are in none."""
        ...

    def compile(self) -> None:
        """Compiles the parts that gain from torch.compile."""
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
        """Loads the model in a folder, in evaluation mode.

        Args:
            folder: a published model in Hugging Face form.
            spec: spec of the run.
            device: device of its weights.
            dtype: type of its weights.
            language: code of the language to write; the run's own unless given.
            train: dropout, masks and frozen parts, if the model is to be trained.

        Raises:
            DataError: the folder has no readable model of the family.
            UsageError: the model does not know the language.
        """
        ...


def groups_by_decay(module: torch.nn.Module) -> list[ParameterGroup]:
    """Trained parameters in two groups: matrices, which decay, then norms and biases."""
    trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
    return [
        ParameterGroup(parameters={n: p for n, p in trained.items() if p.ndim > 1}),
        ParameterGroup(parameters={n: p for n, p in trained.items() if p.ndim <= 1}, decays=False),
    ]
