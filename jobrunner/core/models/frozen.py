"""Weights that are not trained: which they are, and the type that they are held in."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from jobrunner.catalog.models import Family
from jobrunner.spec import TrainSpec, weights


def freeze(module: torch.nn.Module, train: TrainSpec, family: Family) -> None:
    """Freezes what the options say. What comes before the first trained weight runs without
    autograd, because nothing there needs a gradient.

    Raises:
        SpecError: see `spec.weights.frozen`.
    """
    parameters = dict(module.named_parameters())
    for name in weights.frozen(parameters, train, family):
        parameters[name].requires_grad_(False)


def lower(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Holds frozen weights in the type that autocast computes in; changes no bit of a result.

    Autocast converts the weights of linear layers and convolutions for each product, and no others.
    So norms and embeddings stay in fp32, and so does a matrix that is an embedding too.
    """
    converted = dict(_converted(module))
    others = {
        id(parameter)
        for name, part in module.named_modules()
        if name not in converted
        for parameter in part.parameters(recurse=False)
    }
    for part in converted.values():
        for parameter in part.parameters(recurse=False):
            if not parameter.requires_grad and id(parameter) not in others:
                parameter.data = parameter.data.to(dtype)


def is_lowered(module: torch.nn.Module) -> bool:
    """True if `lower` has rounded weights."""
    return any(parameter.dtype != torch.float32 for parameter in module.parameters())


def restore(module: torch.nn.Module, exact: dict[str, torch.Tensor]) -> None:
    """Gives weights that were rounded their exact values again.

    Args:
        module: the module.
        exact: name → values in fp32, of every weight that is not an adapter's.
    """
    for name, parameter in module.named_parameters():
        if parameter.dtype != torch.float32:
            parameter.data = exact[name.replace(".base_layer.", ".")].to(parameter.device)


def _converted(module: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    for name, part in module.named_modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv1d)):
            yield name, part
