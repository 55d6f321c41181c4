"""The number of steps that a run's data deserve, and what follows from it. Pure.

The steps are known once the training speech is: at submit for a folder, as an estimate, and for
certain when training begins. Both use these functions.
"""

from __future__ import annotations

import math
from typing import Any

from jobrunner.spec.train import TrainSpec

# Validations of a run, one after each epoch by default: enough to choose a model, and for patience.
VALIDATIONS = 8
# Largest share of the steps that is warm-up.
MOST_WARMUP = 5


def steps(train: TrainSpec, seconds: float) -> int:
    """The optimiser steps of a training over a training set of `seconds` of speech.

    An epoch has the steps that `core/training/order.py` deals it to: its audio over the budget of
    a step, rounded up. Clips that are too long for the model count here and are not trained on.
    """
    if train.is_exact:
        return train.steps
    by_epochs = max(1, math.ceil(train.epochs * math.ceil(seconds / train.batch_seconds)))
    return min(by_epochs, train.steps) if train.steps else by_epochs


def most_steps(train: TrainSpec) -> int | None:
    """The steps of a training over a set of unknown size, at most; None if there is no limit."""
    return train.steps or None


def applied(train: TrainSpec, *, seconds: float, rate: float) -> TrainSpec:
    """The options with the numbers that follow from data and model, and none left open.

    Args:
        train: options of the run.
        seconds: speech of the training set.
        rate: the model's usual peak learning rate, for options that leave it open.
    """
    changes: dict[str, Any] = {} if train.learning_rate else {"learning_rate": rate}
    if not train.is_exact:
        count = steps(train, seconds)
        validate = _between(train, "validate_every", count)
        save = min(train.save_every, validate)
        changes |= {
            "steps": count,
            "epochs": 0.0,
            "warmup_steps": min(train.warmup_steps, count // MOST_WARMUP),
            "validate_every": validate,
            "save_every": next(n for n in range(save, 0, -1) if validate % n == 0),
        }
    return train.model_copy(update=changes)


def _between(train: TrainSpec, name: str, count: int) -> int:
    """Steps between two validations: as given, or as many as make `VALIDATIONS` of them."""
    given: int = getattr(train, name)
    if given != TrainSpec.model_fields[name].default:
        return min(given, count)
    return min(given, math.ceil(count / VALIDATIONS))
