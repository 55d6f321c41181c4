"""The stage `train`: fine-tunes the model, from the last checkpoint if there is one."""

from __future__ import annotations

import gc

from jobrunner.core.attempt.context import StageContext
from jobrunner.core.training import agreement
from jobrunner.core.training.retreat import go_back
from jobrunner.core.training.schedule import scheduled
from jobrunner.core.training.setup import Setup, set_up
from jobrunner.core.training.step.memory import is_full
from jobrunner.core.training.trainer import Trainer
from jobrunner.errors import Diverged, OutOfMemory
from jobrunner.spec import keys
from jobrunner.storage import folders


def run(context: StageContext) -> None:
    """Runs one attempt at the stage; does nothing if the export is already published.

    Raises:
        DeviceError: fewer GPUs are visible than the run requests.
        DataError: no clip can be trained on.
        CheckpointError: there are checkpoints, but none verifies.
        OutOfMemory: not even one window fits into the device's memory.
        Lost: speech or base model are missing or damaged in storage.
        StorageError: storage refused; the last acknowledged checkpoint is safe.
        Interrupted: SIGTERM came.
        Diverged: the loss went wrong for good.
    """
    if folders.is_whole(context.storage, keys.export_prefix(context.run)):
        context.log(f"{context.run} is trained and exported already")
        context.progress.update(message="trained", done=1.0, urgent=True)
        return
    lowered: int | None = 0
    try:
        while lowered is not None:
            lowered = _train_until(context, lowered)
            gc.collect()  # a model that diverged
    finally:
        agreement.end()


def _train_until(context: StageContext, lowered: int) -> int | None:
    """Trains with a rate that was halved `lowered` times.

    Returns:
        None at the end; or, if training went wrong and can go back, the number of halvings then.
    """
    context.progress.update(message="loading", urgent=True)
    context = scheduled(context)
    setup = _set_up(context)
    if not lowered:
        for reason, clips in setup.dropped.items():
            context.progress.event("drop", clips, reason)
    trainer = Trainer(context, setup, lowered=lowered)
    try:
        train(trainer)
        return None
    except Diverged as error:
        return go_back(trainer, error)
    finally:
        trainer.close()
        context.progress.flush()


def _set_up(context: StageContext) -> Setup:
    try:
        return set_up(context)
    except Exception as error:
        if not is_full(error):
            raise
    raise OutOfMemory(
        f"{context.spec.model} itself does not fit into the memory of this device.",
        hint="Submit it with a smaller --model, or where there is more memory.",
    )


def train(trainer: Trainer) -> None:
    """Trains to the end, with validations and checkpoints on the way.

    A checkpoint is taken after the validation of its step, so that it has the result. If training
    stopped in between, the next attempt validates first.
    """
    trainer.restore()
    trainer.measure_base()
    while True:
        if trainer.validation_due:
            trainer.validate()
        if trainer.stopping:
            trainer.leave()
        if trainer.save_due:
            trainer.save()
        if trainer.finished:
            break
        trainer.step()
    trainer.finish()
