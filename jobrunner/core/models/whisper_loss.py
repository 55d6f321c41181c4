"""Whisper's loss without its logits: the scores of all tokens are never in memory at once.

Logits of 16 windows of 448 tokens over 51,866 ids take 1.5 GB in fp32, and their gradient and the
softmax as much again. Here the positions that count go through the last projection in chunks. Each
chunk's gradient is computed at once, so that nothing of its size outlives it.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration

# Tokens that are scored at a time: 212 MB of logits at 51,866 ids. A GPU's matrix products are
# saturated from some hundred rows on.
CHUNK = 1024


class ScoringWhisper(WhisperForConditionalGeneration):  # type: ignore[misc]
    """A Whisper whose forward gives the loss itself when it is given targets.

    The loss is part of `forward` because DDP and autocast wrap that: parameters that are used
    outside of it would be cast anew and, on several ranks, be summed at the wrong time.
    """

    @functools.wraps(WhisperForConditionalGeneration.forward)
    def forward(
        self,
        *arguments: Any,
        targets: torch.Tensor | None = None,
        places: torch.Tensor | None = None,
        **named: Any,
    ) -> Any:
        if targets is None or places is None:
            return super().forward(*arguments, **named)
        # Without a mask transformers looks into the positions for packed sequences, and waits for
        # the device in the middle of each forward.
        named.setdefault("decoder_attention_mask", _causal(named["decoder_input_ids"]))
        hidden = self.model(*arguments, use_cache=False, **named).last_hidden_state
        counting = hidden.flatten(0, 1).index_select(0, places)
        return summed_cross_entropy(counting, self.proj_out.weight, targets)


# `save_pretrained` writes it to config.json as the architecture, and exports are ordinary Whispers.
ScoringWhisper.__name__ = WhisperForConditionalGeneration.__name__


def _causal(ids: torch.Tensor) -> torch.Tensor:
    """The mask (1, 1, tokens, tokens) with which each token attends to itself and those before."""
    tokens = ids.shape[1]
    return torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=ids.device).tril()


def summed_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int = CHUNK
) -> torch.Tensor:
    """Cross-entropy of a projection, summed over tokens, in nats; a scalar in fp32.

    It is the sum, not the mean, so that the sums of micro-batches and ranks can be added up and
    divided by the tokens of the whole step. Matrix products are in autocast's type where that is
    on; softmax and logarithm are in fp32. It cannot be differentiated twice.

    Args:
        hidden: the decoder's output (tokens, width).
        weight: the projection (ids, width).
        targets: id of each token (tokens,), int64.
        chunk: tokens at a time.
    """
    device = hidden.device.type
    cast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if cast else hidden.dtype
    loss: torch.Tensor = _Summed.apply(hidden, weight, targets, chunk, dtype)
    return loss


class _Summed(torch.autograd.Function):
    """Loss and gradients in one pass over the chunks; backward only scales the gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        chunk: int,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        learns_hidden, learns_weight, *_ = ctx.needs_input_grad
        # Sums over chunks are kept in fp32 at least, whatever the products are in.
        of_hidden = torch.empty_like(hidden) if learns_hidden else None
        of_weight = torch.zeros_like(weight) if learns_weight else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            projection = weight.to(dtype)
            for start in range(0, len(hidden), chunk):
                rows = slice(start, start + chunk)
                states = hidden[rows].to(dtype)
                summed, errors = _one_chunk(states, projection, targets[rows, None])
                total += summed
                errors = errors.to(dtype)
                if of_hidden is not None:
                    of_hidden[rows] = errors @ projection
                if of_weight is None:
                    continue
                if dtype == of_weight.dtype:
                    of_weight.addmm_(errors.T, states)
                else:
                    of_weight += errors.T @ states
        ctx.gradients = of_hidden, of_weight
        return total

    @staticmethod
    def backward(ctx: Any, *factors: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # Scaled in place, which spares a copy of each: so a graph can be gone through once.
        gradients, ctx.gradients = ctx.gradients, ()
        return *(each if each is None else each.mul_(factors[0]) for each in gradients), *[None] * 3


def _one_chunk(
    states: torch.Tensor, projection: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss of a chunk, and the gradient of its logits (tokens, ids) in fp32.

    Args:
        states: (tokens, width).
        projection: (ids, width).
        targets: (tokens, 1), int64.
    """
    logits = (states @ projection.T).float()
    logs = logits.sub_(logits.logsumexp(dim=1, keepdim=True))
    wanted = logs.gather(1, targets)
    errors = logs.exp_().scatter_(1, targets, wanted.exp() - 1.0)
    return -wanted.sum(), errors
