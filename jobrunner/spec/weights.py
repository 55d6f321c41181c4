"""Which weights of a model a run trains, and which it freezes. Pure.

A pattern names weights, or what they are in: `model.decoder.layers.0` stands for all of that layer.
`*` stands for any letters, dots among them.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from jobrunner.catalog import weights as catalog
from jobrunner.catalog.models import Family
from jobrunner.errors import SpecError
from jobrunner.spec.train import TrainSpec

_NEAREST = 3


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Numbers of weights."""

    trained: int
    """Trained ones, those of adapters among them: fp32, with a gradient and the optimiser's
    state."""
    lowered: int
    """Frozen ones of linear layers and convolutions: bf16 or fp16 on a GPU."""
    kept: int
    """Frozen norms and embeddings: fp32."""


def count(config: Mapping[str, Any], train: TrainSpec, family: Family) -> Weights:
    """Numbers of trained and of frozen weights.

    Args:
        config: fields of the model's config.json.
        train: options of the run.
        family: the model's family, which knows the shapes of its weights.

    Raises:
        SpecError: see `frozen` and `adapted`.
    """
    assert family.shapes is not None
    shapes = family.shapes(config)
    layers = catalog.layers(shapes)
    size = {name: math.prod(shape) for name, shape in shapes.items()}
    held = frozen(shapes, train, family)
    added = 0
    if train.lora_rank:
        linear = [name for name in sorted(layers) if len(shapes[f"{name}.weight"]) == 2]
        chosen = adapted([name for name in linear if f"{name}.weight" not in held], train)
        added = sum(train.lora_rank * sum(shapes[f"{name}.weight"]) for name in chosen)
        held = set(shapes)
    lowered = sum(size[name] for name in held if name.rpartition(".")[0] in layers)
    return Weights(
        trained=added + sum(size.values()) - sum(size[name] for name in held),
        lowered=lowered,
        kept=sum(size[name] for name in held) - lowered,
    )


def frozen(names: Collection[str], train: TrainSpec, family: Family) -> set[str]:
    """The names of weights that `freeze_encoder`, `freeze_layers` and `freeze` freeze.

    Raises:
        SpecError: a pattern matches nothing, the encoder has fewer layers, or all are frozen.
    """
    held: set[str] = set()
    if train.freeze_encoder:
        held |= {name for name in names if name.startswith(f"{family.encoder}.")}
    if train.freeze_layers:
        held |= _first_layers(names, train.freeze_layers, family)
    for pattern in train.freeze:
        matched = {name for name in names if _is_in(name, pattern)}
        if not matched:
            raise _unmatched("train.freeze", pattern, "weight of the model", names)
        held |= matched
    if held >= set(names):
        field = "train.freeze" if train.freeze else "train.freeze_layers"
        raise SpecError(field, "freezes every weight; nothing is left to train.")
    return held


def adapted(layers: Collection[str], train: TrainSpec) -> list[str]:
    """The names of the linear layers that `lora_targets` gives an adapter, in their order.

    Args:
        layers: names of the model's linear layers, without those of frozen weights.
        train: options of the run.

    Raises:
        SpecError: a target matches none of them.
    """
    for target in train.lora_targets:
        if not any(_is_target(name, target) for name in layers):
            raise _unmatched("train.lora_targets", target, "linear layer that is left", layers)
    return [name for name in layers if any(_is_target(name, t) for t in train.lora_targets)]


def _first_layers(names: Collection[str], number: int, family: Family) -> set[str]:
    """The names in the first layers of the encoder, and in what comes before them."""
    layer = re.compile(rf"{re.escape(family.encoder)}\.layers\.(\d+)\.")
    numbers = {name: int(found[1]) for name in names if (found := layer.match(name))}
    existing = max(numbers.values(), default=-1) + 1
    if number > existing:
        raise SpecError(
            "train.freeze_layers", f"{number} is more than the {existing} layers of the encoder."
        )
    before = tuple(f"{family.encoder}.{part}." for part in family.stem)
    stem = {name for name in names if name.startswith(before)}
    return stem | {name for name, at in numbers.items() if at < number}


def _is_in(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _is_target(name: str, target: str) -> bool:
    """True if a target is the name of a layer, or its end: `q_proj`, `encoder_attn.q_proj`."""
    return fnmatchcase(name, target) or fnmatchcase(name, f"*.{target}")


def _unmatched(field: str, pattern: str, what: str, names: Collection[str]) -> SpecError:
    """The error for a pattern that matches nothing, with the nearest names and parts of names."""
    wanted = pattern.strip("*.")
    if "." in wanted:
        beginnings = (name.split(".")[:n] for name in names for n in range(1, name.count(".") + 2))
        known = {".".join(each) for each in beginnings}
    else:
        known = {part for name in names for part in name.split(".") if not part.isdigit()}
    near = difflib.get_close_matches(wanted, sorted(known), n=_NEAREST, cutoff=0.5)
    hint = f"Nearest: {', '.join(near)}." if near else f"Such as {min(names, default='none')}."
    return SpecError(field, f"{pattern!r} matches no {what}.", hint=hint)
