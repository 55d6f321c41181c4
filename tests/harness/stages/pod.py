"""A stage without a model, for pods: all of `python -m jobrunner.core` but its three stages.

It is steered by objects below `control/` in the run's storage, as local.py is by files:
`hold-STAGE`, `codes-STAGE`, and a journal with an object for each line.
"""

import os
import sys
import time
import types
import uuid

from jobrunner.core import __main__ as core
from jobrunner.core.attempt.context import StageContext
from jobrunner.storage import open_storage

STAGE = os.environ["JOBRUNNER_STAGE"]


def run(context: StageContext, language: str = "") -> None:
    url = context.storage.url.rpartition("/")[0]
    control = open_storage(f"{url}/control", endpoint=context.spec.cluster.storage_endpoint)

    def journal(what: str) -> None:
        line = f"{time.time():.6f} {what} {STAGE} {context.run} {context.attempt} {os.getpid()} -"
        control.write(f"journal/{time.time_ns():020d}-{uuid.uuid4().hex}", line.encode())

    lines = [control.read(entry.key).decode().split() for entry in control.list("journal/")]
    tries = sum(line[1:4] == ["begins", STAGE, context.run] for line in lines)
    journal("begins")
    languages = ", ".join(context.spec.evaluate.languages) or context.spec.lang
    context.log(f"{STAGE} begins with {languages}")
    context.progress.update(message="working", done=0.5, step=50, steps=100, urgent=True)
    while control.stat(f"hold-{STAGE}"):
        if context.stop:
            journal("stopped")
            context.log("stops as asked")
            sys.exit(143)
        time.sleep(0.1)
    codes = []
    if control.stat(f"codes-{STAGE}"):
        codes = control.read(f"codes-{STAGE}").decode().split()
    code = int(codes[tries]) if tries < len(codes) else 0
    if code:
        context.log(f"error: {STAGE} cannot go on, try {tries + 1}.")
        journal("ends")
        sys.exit(code)
    context.progress.update(message="done", done=1.0, step=100, urgent=True)
    context.log(f"{STAGE} is done")
    journal("ends")


for name in ("prepare", "train", "evaluate"):
    module = types.ModuleType(f"jobrunner.core.{name}")
    module.run = run  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    setattr(sys.modules["jobrunner.core"], name, module)
core.entry()
