"""One attempt at a stage as a group of processes, which ends as a whole and with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobrunner.errors import disk_errors

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class StageProcess:
    """A started attempt.

    Args:
        command: program and arguments.
        environment: its whole environment.
        log: the file that its output is appended to.
        keep: file descriptors that it inherits, such as locks.

    Raises:
        StorageError: the log cannot be created, or the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        keep: Sequence[int],
    ) -> None:
        with disk_errors(f"in {log.parent}"):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    pass_fds=tuple(keep),
                    process_group=0,
                    preexec_fn=_dies_with_parent(),
                )

    @property
    def pid(self) -> int:
        """Process id, and id of its process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code if it has ended, 128 + N after signal N; None while it runs.

        When it has ended, processes that it started are killed.
        """
        # Reaped only after its group was killed: until then its number is not reused.
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self.kill()
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """Asks it to save and end: SIGTERM to the process itself, not to its workers."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL to it and to all processes that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _dies_with_parent() -> Callable[[], None] | None:
    """The first action of a new stage: it makes the stage die with its supervisor.

    On systems other than Linux the locks that a stage inherits show that it is still alive, and
    the next submit ends it.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)

    return before_exec
