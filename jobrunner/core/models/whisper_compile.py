"""Compiles one encoder layer, which all layers share.

A compiled encoder would unroll its layers: minutes for 32 of them, at each new shape. Layers have
one code, so that the first one's graph serves all others. A graph has a window's static length and
any number of windows; alone a single window has a graph of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

# Graphs of one layer before torch gives up and runs it uncompiled, without an error: five lengths
# of windows, one window or several, layers that are trained or frozen. Torch's own limit is 8.
MOST_GRAPHS = 32


def compile_layers(
    layers: Iterable[torch.nn.Module], backend: str | Callable[..., Any] = "inductor"
) -> None:
    """Compiles layers that have one class, for training; without gradients they run as they are.

    Args:
        layers: layers that take states (windows, positions, width).
        backend: backend of torch.compile.
    """
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, MOST_GRAPHS)
    for layer in layers:
        plain = layer._call_impl
        compiled = torch.compile(plain, backend=backend, dynamic=False)
        # Where `Module.compile` puts it. That would compile for each number of windows anew.
        layer._compiled_call_impl = partial(_call, plain, compiled)


def _call(
    plain: Callable[..., Any],
    compiled: Callable[..., Any],
    states: torch.Tensor,
    *arguments: Any,
    **named: Any,
) -> Any:
    # Validation decodes with other numbers of windows; its graphs would serve for a minute.
    if not torch.is_grad_enabled():
        return plain(states, *arguments, **named)
    torch._dynamo.maybe_mark_dynamic(states, 0)
    return compiled(states, *arguments, **named)
