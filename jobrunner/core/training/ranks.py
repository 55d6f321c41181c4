"""Several processes that train together, one per GPU, started and ended as one.

torchrun would start them too, but it ends with exit code 1 whatever code the processes ended with,
and that code shows whether a second attempt makes sense.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from types import FrameType

from jobrunner.errors import Interrupted

# Seconds for the other processes to end after one has failed: they wait for it in vain.
SECONDS_TO_END = 10.0
_POLL_SECONDS = 0.1


def run(count: int, command: Sequence[str]) -> int:
    """Runs a command as `count` ranks and waits for them; SIGTERM is passed on to all.

    Returns:
        0, or the exit code of the rank that failed first.
    """
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // count)),
        "JOBRUNNER_ATTEMPT": os.environ.get("JOBRUNNER_ATTEMPT") or uuid.uuid4().hex[:12],
    }
    ranks = []
    for rank in range(count):
        own = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        if rank:
            # The first rank reports for all.
            own.pop("JOBRUNNER_PROGRESS_FILE", None)
        ranks.append(subprocess.Popen(command, env=own))

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in ranks:
            process.send_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        return _wait(ranks)
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in ranks:
            process.kill()


def _wait(ranks: list[subprocess.Popen[bytes]]) -> int:
    failed, deadline = 0, float("inf")
    while None in [process.poll() for process in ranks]:
        codes = [process.returncode for process in ranks if process.returncode]
        if codes and not failed:
            failed = codes[0]
            # Interrupted ranks may take their time: the first may still upload.
            if failed != Interrupted.exit_code:
                deadline = time.monotonic() + SECONDS_TO_END
        if time.monotonic() > deadline:
            for process in ranks:
                process.kill()
        time.sleep(_POLL_SECONDS)
    failed = failed or next((process.returncode for process in ranks if process.returncode), 0)
    # The code of a process that a signal ended is the signal's negative number.
    return failed if failed >= 0 else 128 - failed


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
