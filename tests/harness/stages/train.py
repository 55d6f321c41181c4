"""A stage as it is, but for training that a test holds before steps of its choice.

Takes the endpoint of the S3 server as its first argument, because the run's own storage may be
behind a line that fails. Below `control/AGAIN/`, with the run's `again`, `hold-STEP` holds every
attempt before that step, `hold-STEP-ATTEMPT` one, and `held/STEP-ATTEMPT` says that it waits.
"""

import os
import sys
import time

from jobrunner.core import __main__ as core
from jobrunner.storage import open_storage

endpoint = sys.argv.pop(1)


def eat() -> None:
    eaten = []
    while True:
        eaten.append(os.urandom(1 << 24))


if os.environ["JOBRUNNER_STAGE"] == "train":
    from jobrunner.core.training.trainer import Trainer

    proceed = Trainer.step

    def step(self: Trainer) -> None:
        context = self.context
        url, _, _ = context.storage.url.rpartition("/")
        control = open_storage(f"{url}/control/{context.spec.again}", endpoint=endpoint)
        number = self.state.step + 1
        holds = (f"hold-{number}", f"hold-{number}-{context.attempt}")
        while any(control.stat(hold) for hold in holds) and not context.stop:
            control.write(f"held/{number}-{context.attempt}", b"held")
            if control.stat("eat"):
                control.delete("eat")
                eat()
            time.sleep(0.1)
        proceed(self)

    Trainer.step = step  # type: ignore[method-assign]
core.entry()
