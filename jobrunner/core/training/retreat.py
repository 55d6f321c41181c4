"""Goes back to the last good checkpoint when training went wrong, and halves the rate from there.

That is the one of the last validation that was not worse than the base model. It is always kept,
and depends only on the training itself, not on the times at which checkpoints were saved. So a run
that is killed meanwhile goes wrong in the same way, goes back to the same place, and has the same
result.
"""

from __future__ import annotations

from jobrunner.core.training.trainer import Trainer
from jobrunner.errors import Diverged

# Times that a run may halve its rate: after an eighth, more than the rate is wrong.
MOST_LOWERED = 3


def go_back(trainer: Trainer, error: Diverged) -> int:
    """Deletes the checkpoints after the last good one; returns how often the rate is halved then.

    Raises:
        Diverged: the spec does not ask for another rate, or the rate is low enough already.
        Superseded: another attempt is training this run.
        StorageError: storage refused.
    """
    lowered = trainer.health.lowered
    if trainer.spec.train.on_unhealthy != "lower-lr":
        raise error
    if lowered >= MOST_LOWERED:
        already = f"The rate was halved {lowered} times already."
        raise Diverged(f"{error.message} {already}", hint=error.hint)
    good = trainer.health.good
    place = "the base model" if good is None else f"the checkpoint of step {good}"
    rate = trainer.spec.train.learning_rate * trainer.health.factor / 2
    trainer.log(f"{error.message} Going back to {place}, with a learning rate of {rate:.3g}.")
    if trainer.setup.first:
        trainer.saver.finish()
        kept = [step for step in trainer.checkpoints.committed() if step <= (good or 0)]
        trainer.checkpoints.keep_only(kept)
    return lowered + 1
