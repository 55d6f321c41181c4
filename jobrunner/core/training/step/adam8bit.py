"""AdamW with its moments in 8 bits, by the package bitsandbytes (Dettmers et al., 2110.02861)."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from jobrunner.errors import UsageError

# Where bitsandbytes keeps the tensors of one parameter's state.
_INNER = "__bnb_optimizer_quant_state__"


def make(groups: Sequence[Mapping[str, Any]], **options: Any) -> torch.optim.Optimizer:
    """The optimiser of groups of parameters.

    A parameter of less than 4,096 numbers has moments in fp32, as bitsandbytes decides.

    Raises:
        UsageError: bitsandbytes is not installed.
    """
    # On a CPU it warns of a product in 4 bits, which no optimiser needs.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        package = importlib.import_module("bitsandbytes.optim")
    except ImportError:
        raise UsageError(
            "train.optimiser adamw8bit needs the package bitsandbytes, which is not here.",
            hint="Use an image that has it, or --set train.optimiser=adamw.",
        ) from None
    made: torch.optim.Optimizer = package.AdamW8bit([dict(group) for group in groups], **options)
    return made


def flat(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The state of one parameter as tensors by name; that of torch's own AdamW as it is."""
    tensors = {**state, **state.get(_INNER, {})}
    tensors.pop(_INNER, None)
    return {
        name: value if torch.is_tensor(value) else torch.tensor(value)
        for name, value in tensors.items()
    }


def nested(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The state of one parameter in the form that it had before `flat`."""
    if "state1" not in tensors:
        return dict(tensors)
    inner = {name: value for name, value in tensors.items() if name != "step"}
    return {"step": int(tensors["step"]), _INNER: inner}
