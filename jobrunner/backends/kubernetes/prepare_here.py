"""Prepares speech and models from folders of this machine into storage, where pods find them.

It runs the stage `prepare` here. Pods then find everything complete and change nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from jobrunner.backends.logline import last_error
from jobrunner.catalog import models
from jobrunner.errors import JobrunnerError, SpecError
from jobrunner.spec.record import RunRecord, write_record
from jobrunner.spec.source import FIELD


def prepare_here(record: RunRecord) -> None:
    """Prepares the speech and the model of a run, if one of them is a folder of this machine.

    Raises:
        SpecError: this machine has only the client, which cannot prepare speech.
        JobrunnerError: the stage failed; the message has its error.
    """
    spec = record.spec
    if not spec.is_here:
        return
    field = "model" if models.is_folder(spec.model) else FIELD
    if find_spec("torch") is None:
        raise SpecError(
            field,
            "is a folder on this machine, and uploading it needs the core packages.",
            hint="pip install 'jobrunner[core]'",
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        file.write_text(write_record(record))
        environment = {
            **{k: v for k, v in os.environ.items() if k != "JOBRUNNER_NAMESPACE"},
            "JOBRUNNER_SPEC": str(file),
            "JOBRUNNER_SCRATCH": folder,
        }
        command = [sys.executable, "-m", "jobrunner.core", "prepare"]
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        raise JobrunnerError(
            f"Uploading {field} to storage failed: {last_error(done.stdout.splitlines())}",
            hint="Put that right and submit the run again: pods cannot reach this machine.",
        )
