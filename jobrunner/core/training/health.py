"""Watches losses and gradients, so that a run that went wrong ends with the reason."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any

from jobrunner.catalog import models
from jobrunner.core.training.curve import Overfitting
from jobrunner.errors import Diverged
from jobrunner.spec import TrainSpec

# Consecutive steps without a finite loss or gradient that end the run. A single one is skipped:
# weights and optimiser stay as they were.
MOST_NON_FINITE = 5
# Steps in the running mean of the loss.
WINDOW = 20
# The run has diverged if the mean is this far over the best one: nats a token, and times the noise
# of single steps. The mean of 20 steps has less than a quarter of their noise. A loss that grows
# ever faster is its own noise, so that the margin has a limit too.
MARGIN, MOST_MARGIN = 1.0, 4.0
NOISES = 3.0
# So is a run whose gradient norm stays over this many times its median, and over the norm that it
# is clipped to: below that a gradient does no harm, however small it was before.
NORMS = 10.0
HIGH_NORMS = 10
# Norms in the running median, and the fewest that make one.
MOST_NORMS, FEWEST_NORMS = 100, 50
# Nats a token by which a validation is worse than the base model's, and how many of them in a row
# end the run: at its peak the rate may cost something that comes back.
WORSE = 0.5
MOST_WORSE = 2
# Steps within which a loss that stays half-way to divergence is put down to the learning rate.
EARLY = 1000


class Health:
    """Judges each step and each validation. Its state is part of a checkpoint.

    Args:
        train: the run's options.
        usual: the model's usual learning rate.
        log: logs one line for people.
    """

    def __init__(
        self,
        train: TrainSpec,
        usual: float = models.DEFAULT_LEARNING_RATE,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._train = train
        self._usual = usual
        self._log = log
        self._overfitting = Overfitting(log)
        self._said: set[str] = set()
        self.skipped = 0
        """Number of steps that were skipped so far."""
        self.lowered = 0
        """Number of times that the learning rate was halved."""
        self.base: float | None = None
        """Validation loss of the base model, in nats."""
        self.good: int | None = None
        """Step of the last validation that was not worse than the base model."""
        self._in_a_row = 0
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._best = math.inf
        self._half_way = 0
        self._norms: deque[float] = deque(maxlen=MOST_NORMS)
        self._high_norms = 0
        self._worse = 0

    @property
    def factor(self) -> float:
        """Factor of the learning rate: a half for each time that it was lowered."""
        return 0.5**self.lowered

    @property
    def concern(self) -> str:
        """The trouble that people should know of, in a few words; empty if all is well."""
        return self._overfitting.concern or ("unhealthy" if self._said else "")

    def accept(self, step: int, loss: float, gradient_norm: float) -> bool:
        """True if the step's gradient may be applied.

        Args:
            step: number of the step, from 1.
            loss: mean loss of the step, nats a token.
            gradient_norm: norm before clipping.

        Raises:
            Diverged: the run cannot be saved; says why and what to try.
        """
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            self.skipped += 1
            self._in_a_row += 1
            problem = ""
            if self._in_a_row >= MOST_NON_FINITE:
                problem = (
                    f"Loss or gradient were not finite in {self._in_a_row} steps in a row, "
                    f"the last of them step {step}."
                )
            self._judge("finite", problem)
            return False
        self._in_a_row = 0
        self._judge("finite", "")
        self._recent.append(loss)
        self._judge("norm", self._norm_problem(step, gradient_norm))
        if len(self._recent) == WINDOW:
            self._judge("loss", self._loss_problem(step, sum(self._recent) / WINDOW))
        return True

    def validated(self, step: int, loss: float) -> None:
        """Judges a validation.

        Args:
            step: steps done.
            loss: loss on the validation split, nats a token.

        Raises:
            Diverged: the model is worse than the base model, in training too.
        """
        if not self._recent:
            return
        trained = sum(self._recent) / len(self._recent)
        # A model that is worse in validation alone has learnt its training data by heart.
        worse = self.base is not None and min(loss - WORSE, trained) > self.base
        if not worse:
            self.good = step
        self._worse = self._worse + 1 if worse and step > self._train.warmup_steps else 0
        problem = (
            f"The model of step {step} is worse than the base model: its validation loss is "
            f"{loss:.2f}, the base model's {self.base or 0.0:.2f}."
        )
        if self._worse and self._worse < MOST_WORSE:
            self._log(f"{problem} The learning rate may be too high. {self._advice()}")
        self._judge("base", problem if self._worse >= MOST_WORSE else "")
        self._overfitting.add(step, loss, trained)

    def _norm_problem(self, step: int, norm: float) -> str:
        usual = median(self._norms) if len(self._norms) >= FEWEST_NORMS else math.inf
        self._norms.append(norm)
        high = norm > max(NORMS * usual, self._train.max_grad_norm)
        self._high_norms = self._high_norms + 1 if high else 0
        if self._high_norms < HIGH_NORMS or step <= self._train.warmup_steps:
            return ""
        return (
            f"Training diverged: in the last {self._high_norms} steps up to step {step} the norm "
            f"of the gradient is over {NORMS:g} times its median of {usual:.3g}."
        )

    def _loss_problem(self, step: int, mean: float) -> str:
        self._best = min(self._best, mean)
        if step <= self._train.warmup_steps:
            return ""
        margin = min(MOST_MARGIN, max(MARGIN, NOISES * _noise(list(self._recent))))
        over = mean - self._best
        self._half_way = self._half_way + 1 if over > margin / 2 else 0
        if over > margin:
            return (
                f"Training diverged: over the last {WINDOW} steps up to step {step} the loss is "
                f"{mean:.2f}, after {self._best:.2f} at its best."
            )
        if self._half_way == WINDOW and step <= EARLY:
            self._log(
                f"step {step}: the loss is {mean:.2f}, after {self._best:.2f} at its best; the "
                f"learning rate may be too high. {self._advice()}"
            )
        return ""

    def _judge(self, kind: str, problem: str) -> None:
        """Ends the training for a problem; says it once if the run is to continue."""
        if not problem:
            self._said.discard(kind)
        elif self._train.on_unhealthy != "continue":
            raise Diverged(problem, hint=self._advice())
        elif kind not in self._said:
            self._said.add(kind)
            self._log(f"unhealthy, and continuing: {problem} {self._advice()}")

    def _advice(self) -> str:
        rate = self._train.learning_rate * self.factor
        if rate > self._usual:
            usual = f"try the model's usual one, --learning-rate {self._usual:.3g}."
            return f"The learning rate is {rate:.3g}; {usual}"
        return f"The learning rate is {rate:.3g}; try {rate / 4:.1g} with --learning-rate."

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {
            "skipped": self.skipped,
            "lowered": self.lowered,
            "base": self.base,
            "good": self.good,
            "in_a_row": self._in_a_row,
            "recent": list(self._recent),
            "best": self._best,
            "half_way": self._half_way,
            "norms": list(self._norms),
            "high_norms": self._high_norms,
            "worse": self._worse,
            "overfitting": self._overfitting.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restores the state from a checkpoint; those of 0.1.0 have less in them."""
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]
        self._recent.clear()
        self._recent.extend(state["recent"])
        self._best = state["best"]
        self.lowered, self.base = state.get("lowered", 0), state.get("base")
        self._half_way, self._high_norms = state.get("half_way", 0), state.get("high_norms", 0)
        self._worse, self.good = state.get("worse", 0), state.get("good")
        self._norms.clear()
        self._norms.extend(state.get("norms", ()))
        self._overfitting.load(state.get("overfitting", {}))


def _noise(losses: list[float]) -> float:
    """Standard deviation of single steps around their trend, from the differences of neighbours."""
    differences = (later - earlier for earlier, later in itertools.pairwise(losses))
    squares = [difference**2 for difference in differences]
    return math.sqrt(sum(squares) / (2 * len(squares)))
