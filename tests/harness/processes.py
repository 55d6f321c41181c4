"""Stages as processes of their own, as the backends start them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jobrunner.spec import RunSpec
from jobrunner.spec.record import new_record, write_record
from tests.harness.waiting import until

T = TypeVar("T")
CORE = (sys.executable, "-m", "jobrunner.core")
SECONDS = 240.0


def stage_variables(spec: RunSpec, folder: Path, scratch: Path | None = None) -> dict[str, str]:
    """Writes the record of a run into a folder, and gives the variables that a stage reads.

    Args:
        spec: of the run.
        folder: is made.
        scratch: another folder for what the stage keeps on its disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(write_record(new_record(spec)))
    return {
        "JOBRUNNER_SPEC": str(folder / "run.json"),
        "JOBRUNNER_SCRATCH": str(scratch or folder),
    }


def until_met(condition: Callable[[], T], process: subprocess.Popen[str]) -> T:
    """The condition's value as soon as it is true; fails when the process ends first."""

    def met() -> T:
        value = condition()
        if not value and process.poll() is not None:
            raise AssertionError(process.stdout.read() if process.stdout else "it has ended")
        return value

    return until(met, "", SECONDS)
