"""The loss over a whole training in a few numbers, for whoever watches it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Most values of a curve. They travel with each report of progress.
MOST = 32


class Curve:
    """Mean losses of equal stretches of steps.

    Stretches grow with the training: when there are too many, each two become one.
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._length = 1
        self._sum = 0.0
        self._count = 0

    def load(self, history: Iterable[dict[str, Any]]) -> None:
        """Adds the losses of a history, from a checkpoint."""
        for record in history:
            self.add(record.get("loss"))

    def add(self, loss: float | None) -> None:
        """Adds the loss of one step; None, of a step that had no finite loss, is left out."""
        if loss is None:
            return
        self._sum += loss
        self._count += 1
        if self._count < self._length:
            return
        self._means.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._means) == MOST:
            first, second = self._means[::2], self._means[1::2]
            self._means = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
            self._length *= 2

    @property
    def values(self) -> tuple[float, ...]:
        """The curve so far, rounded: the last value is of the stretch that is not complete."""
        rest = [self._sum / self._count] if self._count else []
        return tuple(float(f"{mean:.4g}") for mean in (*self._means, *rest))
