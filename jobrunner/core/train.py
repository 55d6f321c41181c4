"""The stage `train`: fine-tunes the model, from the last checkpoint if there is one."""

from __future__ import annotations

from jobrunner.core.attempt.context import StageContext
from jobrunner.core.training.schedule import scheduled
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import keys
from jobrunner.storage import folders


def run(context: StageContext) -> None:
    """Runs one attempt at the stage; does nothing if the export is already published.

    Raises:
        DeviceError: fewer GPUs are visible than the run requests.
        DataError: no clip can be trained on.
        CheckpointError: there are checkpoints, but none verifies.
        Lost: speech or base model are missing or damaged in storage.
        StorageError: storage refused; the last acknowledged checkpoint is safe.
        Interrupted: SIGTERM came.
        Diverged: the loss went wrong for good.
    """
    if folders.is_whole(context.storage, keys.export_prefix(context.run)):
        context.log(f"{context.run} is trained and exported already")
        context.progress.update(message="trained", done=1.0, urgent=True)
        return
    context.progress.update(message="loading", urgent=True)
    context = scheduled(context)
    setup = set_up(context)
    for reason, clips in setup.dropped.items():
        context.progress.event("drop", clips, reason)
    trainer = Trainer(context, setup)
    try:
        train(trainer)
    finally:
        trainer.close()
        context.progress.flush()


def train(trainer: Trainer) -> None:
    """Trains to the end, with validations and checkpoints on the way.

    A checkpoint is taken after the validation of its step, so that it has the result. If training
    stopped in between, the next attempt validates first.
    """
    trainer.restore()
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
