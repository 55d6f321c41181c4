"""Starts the supervisor of a run, and ends all processes of an earlier one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from jobrunner.backends.local import locks
from jobrunner.backends.local.folder import RunFolder
from jobrunner.backends.local.locks import Lock
from jobrunner.backends.local.logs import Tail
from jobrunner.backends.logline import last_error
from jobrunner.errors import JobrunnerError, disk_errors

# Seconds in which children of a killed supervisor may end before they are killed, and then
# seconds before the submit gives up.
TIME_TO_VANISH = 2.0
TIME_TO_DIE = 10.0


def start_supervisor(folder: RunFolder, *handed: Lock) -> None:
    """Starts a detached supervisor that takes over locks, and closes them here.

    Args:
        folder: the run's files.
        handed: the supervisor's own lock, the one that its stages inherit, and that of the run's
            place in the queue for devices.

    Raises:
        StorageError: its log cannot be created.
        JobrunnerError: it did not start.
    """
    with disk_errors(f"in {folder.path}"), folder.supervisor_log.open("ab") as log:
        started = subprocess.run(
            [
                sys.executable,
                *("-m", "jobrunner.backends.local"),
                *(str(folder.state_directory), folder.run, *(str(lock.fd) for lock in handed)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=tuple(lock.fd for lock in handed),
            env=_environment(),
            check=False,
        )
    for lock in handed:
        lock.close()
    if started.returncode:
        raise JobrunnerError(
            f"The supervisor of {folder.run} did not start: "
            f"{last_error(Tail(folder.supervisor_log).lines(last=True))}",
            hint=f"See {folder.supervisor_log}.",
        )


def end_processes(folder: RunFolder) -> Lock:
    """Ends processes of an earlier supervisor and returns the lock that stages inherit.

    Raises:
        JobrunnerError: one of the processes does not end.
    """
    began = time.monotonic()
    while not (lock := locks.take_if_free(folder.processes_lock)):
        waited = time.monotonic() - began
        if waited > TIME_TO_VANISH:
            for attempt in folder.state().attempts:
                # The lock is held, so the group has a member and its number is not reused.
                if attempt.ended is None and attempt.group:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(attempt.group, signal.SIGKILL)
        if waited > TIME_TO_VANISH + TIME_TO_DIE:
            raise JobrunnerError(
                f"A process of an earlier attempt at {folder.run} does not end.",
                hint=f"`fuser {folder.processes_lock}` shows it.",
            )
        time.sleep(0.05)
    return lock


def _environment() -> dict[str, str]:
    """This process's environment, with which stages import the same jobrunner.

    It sets the safe path: otherwise a file `evaluate.py` in the user's folder would be imported
    instead of the library.
    """
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    package = Path(__file__).resolve().parents[3]
    if package != Path(sysconfig.get_path("purelib")).resolve():
        old = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{package}{os.pathsep}{old}" if old else str(package)
    return environment
