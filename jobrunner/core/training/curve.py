"""The losses over a whole training, for whoever watches it: in a few numbers, and overfitting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

# Most values of a curve. They travel with each report of progress.
MOST = 32
# Validations in a row with a growing gap between training and validation before it is said.
PATIENCE = 2
# Nats a token that count as worse: the loss of a few hundred clips moves by less.
WORSE = 0.02


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


class Overfitting:
    """Compares validation losses with training losses; its state is part of a checkpoint.

    Args:
        log: logs one line for people.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._best: tuple[int, float, float] | None = None
        self._growing = 0

    @property
    def concern(self) -> str:
        """`overfitting since step 500`; empty if there is no sign of it."""
        if not self._best or self._growing < PATIENCE:
            return ""
        return f"overfitting since step {self._best[0]}"

    def add(self, step: int, validation: float, training: float) -> None:
        """Adds a validation.

        Args:
            step: steps done.
            validation: loss on the validation split, nats a token.
            training: mean loss of the last steps, nats a token.
        """
        if self._best is None or validation < self._best[1]:
            self._best, self._growing = (step, validation, training), 0
            return
        best_step, best, then = self._best
        grows = validation > best + WORSE and training < then
        self._growing = self._growing + 1 if grows else 0
        if self._growing == PATIENCE:
            self._log(
                f"overfitting: since step {best_step} the validation loss rose from {best:.2f} to "
                f"{validation:.2f} while the training loss fell from {then:.2f} to {training:.2f}. "
                f"Another time try --steps {best_step}, more speech, or --set train.dropout=0.1."
            )

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {"best": self._best, "growing": self._growing}

    def load(self, state: dict[str, Any]) -> None:
        """Restores the state from a checkpoint."""
        best = state.get("best")
        self._best = tuple(best) if best else None
        self._growing = state.get("growing", 0)
