"""Several processes that train together, one per GPU, started and ended as one.

torchrun would start them too, but it ends with exit code 1 whatever code the processes ended with,
and that code shows whether a second attempt makes sense.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from jobrunner.core.attempt import heartbeat
from jobrunner.core.attempt.progress import log
from jobrunner.errors import Interrupted, JobrunnerError

# Seconds for the other processes to end after one has failed: they wait for it in vain.
SECONDS_TO_END = 10.0
_POLL_SECONDS = 0.1


def run(count: int, command: Sequence[str]) -> int:
    """Runs a command as `count` ranks and waits for them; SIGTERM is passed on to all.

    Ranks that hang are killed: after the grace period once they were asked to stop, soon after
    another rank has failed, and otherwise when one breaks its promise of a sign of life.

    Returns:
        0, or the exit code of the rank that failed first.
    """
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        beats = [Path(folder) / str(rank) for rank in range(count)]
        group = _Group(_start(command, beats))
        before = signal.signal(signal.SIGTERM, group.pass_on)
        try:
            return group.wait(beats)
        finally:
            signal.signal(signal.SIGTERM, before)
            group.kill()


class _Group:
    """Processes that end together.

    Args:
        ranks: one for each rank.
    """

    def __init__(self, ranks: list[subprocess.Popen[bytes]]) -> None:
        self._ranks = ranks
        self._grace_seconds = float(os.environ.get("JOBRUNNER_GRACE_SECONDS", "30"))
        self._failed = 0
        self._deadline = float("inf")

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        self._end_within(self._grace_seconds)
        for process in self._ranks:
            process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        for process in self._ranks:
            process.kill()

    def wait(self, beats: list[Path]) -> int:
        """The exit code of all, once every rank has ended.

        Args:
            beats: file of each rank's signs of life.
        """
        while None in [process.poll() for process in self._ranks]:
            self._look(beats)
            if time.monotonic() > self._deadline:
                self.kill()
            time.sleep(_POLL_SECONDS)
        failed = self._failed or next(iter(self._codes()), 0)
        # The code of a process that a signal ended is the signal's negative number.
        return failed if failed >= 0 else 128 - failed

    def _look(self, beats: list[Path]) -> None:
        if self._failed:
            return
        if codes := self._codes():
            self._failed = codes[0]
            # After an interruption the first rank may still upload.
            interrupted = self._failed == Interrupted.exit_code
            self._end_within(self._grace_seconds if interrupted else SECONDS_TO_END)
            return
        for rank, (process, beat) in enumerate(zip(self._ranks, beats, strict=True)):
            if process.returncode is None and time.monotonic() > heartbeat.promised(beat):
                log(f"error: Rank {rank} gives no sign of life; this attempt ends.")
                self._failed = JobrunnerError.exit_code
                self._end_within(0.0)
                return

    def _codes(self) -> list[int]:
        return [process.returncode for process in self._ranks if process.returncode]

    def _end_within(self, seconds: float) -> None:
        self._deadline = min(self._deadline, time.monotonic() + seconds)


def _start(command: Sequence[str], beats: list[Path]) -> list[subprocess.Popen[bytes]]:
    count = len(beats)
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // count)),
        "JOBRUNNER_ATTEMPT": os.environ.get("JOBRUNNER_ATTEMPT") or uuid.uuid4().hex[:12],
    }
    ranks = []
    for rank, beat in enumerate(beats):
        own = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        own["JOBRUNNER_HEARTBEAT"] = str(beat)
        if rank:
            # The first rank reports for all.
            own.pop("JOBRUNNER_PROGRESS_FILE", None)
        ranks.append(subprocess.Popen(command, env=own))
    return ranks


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
