"""The end of an attempt after SIGTERM: one more checkpoint whenever there is a chance."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobrunner.core.attempt.context import StageContext
from jobrunner.core.checkpoint.saver import Saver
from jobrunner.errors import Interrupted

# Seconds before SIGKILL that are kept free for the process to end.
SECONDS_TO_END = 5.0
# A save that would take this many times the time that is left is not begun. One that merely may not
# fit is: a commit is atomic, so a save that is cut off costs nothing.
HOPELESS = 4.0


def save_once_more(
    context: StageContext, saver: Saver, *, size: int, save: Callable[[], None] | None
) -> None:
    """Saves the last steps in the time until SIGKILL, after the upload in flight.

    Args:
        context: the stage, with the time of its SIGTERM and its grace period.
        saver: writes checkpoints.
        size: bytes of a checkpoint.
        save: begins the save; None if every step is saved.

    Raises:
        StorageError: a save failed for good.
    """
    asked = context.stop.requested_at or time.monotonic()
    end = asked + context.grace_seconds - SECONDS_TO_END

    def left() -> float:
        return max(0.0, end - time.monotonic())

    if save:
        expected = saver.expected_seconds(size) if saver.speed else 0.0
        if not left() or expected > HOPELESS * left():
            context.log("too little time is left to save once more")
        elif saver.wait(timeout=left()):
            save()
    if not saver.wait(timeout=left()):
        context.log("the upload did not end in time")


def interrupted(step: int, steps: int) -> Interrupted:
    """The end of an attempt that was asked to stop."""
    return Interrupted(
        f"Stopped after step {step} of {steps}.",
        hint="Submit the run again; it continues from its last checkpoint.",
    )
