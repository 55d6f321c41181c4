"""One attempt at a stage: its start, the reason of its failure, and the storage of its log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import uuid
from dataclasses import dataclass

from jobrunner.backends.local.devices import DeviceClaim
from jobrunner.backends.local.folder import RunFolder
from jobrunner.backends.local.locks import Lock
from jobrunner.backends.local.logs import Tail
from jobrunner.backends.local.process import StageProcess
from jobrunner.backends.local.records import LocalAttempt, LocalRun, RunState
from jobrunner.backends.logline import last_error
from jobrunner.errors import Interrupted, JobrunnerError, disk_errors
from jobrunner.spec import keys
from jobrunner.spec.plan import Stage

# Bytes. With less free space, an attempt that failed without a message failed for lack of space.
ROOM_FOR_A_LOG = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Running:
    """An attempt that was started."""

    stage: Stage
    attempt: LocalAttempt
    process: StageProcess
    claim: DeviceClaim
    languages: tuple[str, ...]
    """Languages whose speech it prepares, if it is an attempt at `prepare`."""


def start(
    folder: RunFolder, submitted: LocalRun, stage: Stage, claim: DeviceClaim, shared: Lock
) -> Running:
    """Starts a stage on the devices that it has claimed.

    Raises:
        StorageError: its files cannot be created, or the program cannot be started.
    """
    attempt_id = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + uuid.uuid4().hex[:8]
    with disk_errors(f"in {folder.path}"):
        folder.scratch(stage.name).mkdir(parents=True, exist_ok=True)
        folder.progress_file(stage.name).parent.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "JOBRUNNER_SPEC": str(folder.spec_file),
        "JOBRUNNER_RUN": folder.run,
        "JOBRUNNER_STAGE": stage.name,
        "JOBRUNNER_ATTEMPT": attempt_id,
        "JOBRUNNER_PROGRESS_FILE": str(folder.progress_file(stage.name)),
        "JOBRUNNER_SCRATCH": str(folder.scratch(stage.name)),
        "JOBRUNNER_GRACE_SECONDS": str(submitted.grace_seconds),
        "CUDA_VISIBLE_DEVICES": ",".join(claim.slots) if stage.gpus else "",
        "PYTHONUNBUFFERED": "1",
    }
    process = StageProcess(
        [*submitted.command, *stage.args],
        environment=environment,
        log=folder.log(stage.name, attempt_id),
        keep=[shared.fd, *(lock.fd for lock in claim.held)],
    )
    return Running(
        stage=stage,
        attempt=LocalAttempt(
            id=attempt_id, stage=stage.name, group=process.pid, started=time.time()
        ),
        process=process,
        claim=claim,
        languages=submitted.spec.languages,
    )


def why(folder: RunFolder, attempt: LocalAttempt, code: int) -> str:
    """One line on why an attempt failed: the stage's last error, or how it died."""
    if code > 128 and code != Interrupted.exit_code:
        hint = "; was there enough memory?" if code == 128 + signal.SIGKILL else ""
        return f"killed by {signal.Signals(code - 128).name}{hint}"
    message = last_error(Tail(folder.log(attempt.stage, attempt.id)).lines(last=True))
    if not message and shutil.disk_usage(folder.path).free < ROOM_FOR_A_LOG:
        return f"no room left in {folder.state_directory}"
    return message or f"ended with exit code {code}"


def archived(folder: RunFolder, submitted: LocalRun, known: RunState) -> RunState:
    """Stores the logs of ended attempts and returns the new state; what fails is tried later."""
    storage = submitted.spec.open_storage()
    for attempt in known.attempts:
        path = folder.log(attempt.stage, attempt.id)
        if attempt.archived or attempt.ended is None or not path.exists():
            continue
        try:
            about = (folder.run, attempt.stage, attempt.id)
            storage.write_file(keys.log_file(*about), path)
            end = json.dumps({"exit_code": attempt.exit_code}).encode()
            storage.write(keys.end_file(*about), end)
        except JobrunnerError as error:
            say(f"the log of {attempt.stage} is not in storage yet: {error}")
            break
        known = known.with_attempt(attempt.model_copy(update={"archived": True}))
    return known


def say(line: str) -> None:
    """Writes one line to standard output, which is the supervisor's log."""
    os.write(1, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode())
