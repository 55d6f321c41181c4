"""A stage as it is, but for training that a test holds.

Below the folder that JOBRUNNER_TEST_CONTROL names, `hold-STEP` holds training before that step, and
`held-STEP-PID` says that it waits.
"""

import os
import time
from pathlib import Path

from jobrunner.core import __main__ as core

control = Path(os.environ["JOBRUNNER_TEST_CONTROL"])
if os.environ["JOBRUNNER_STAGE"] == "train":
    from jobrunner.core.training.trainer import Trainer

    proceed = Trainer.step

    def step(self: Trainer) -> None:
        number = self.state.step + 1
        while (control / f"hold-{number}").exists() and not self.context.stop:
            (control / f"held-{number}-{os.getpid()}").touch()
            time.sleep(0.02)
        proceed(self)

    Trainer.step = step  # type: ignore[method-assign]
core.entry()
