"""A real training whose checkpoints meet a kill, damage and storage that fails.

As in test_faults.py, weights, losses and results are those of a run that was left alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.harness.cluster.real_runs import RealRun, RealRuns
from tests.harness.servers.faulty_proxy import GOOD, Fault, Proxy, Request, proxied
from tests.harness.waiting import until

pytestmark = pytest.mark.timeout(900)
OUTAGE = 60.0
# Delay of each answer of a slow storage, in seconds.
SLOW = 0.5
# Sent from within, so that it works on any cluster: 1 is tini, which tells the container's end.
KILL = """
import os
for each in os.listdir("/proc"):
    if each.isdigit() and int(each) not in {1, os.getpid()}:
        os.kill(int(each), 9)
"""


@pytest.fixture
def line() -> Iterator[Proxy]:
    """The proxy between the runs of a test and S3, on this machine."""
    server = urlsplit(os.environ["AWS_ENDPOINT_URL_S3"])
    assert server.hostname
    assert server.port
    with proxied(server.hostname, server.port, listen=server.hostname) as proxy:
        yield proxy


def test_a_process_killed_during_an_upload_leaves_nothing_that_is_taken_for_a_checkpoint(
    runs: RealRuns, undisturbed: RealRun, line: Proxy
) -> None:
    met: list[Request] = []

    def choose(request: Request) -> Fault:
        if request.method == "PUT" and "/step-00000008/" in request.path and not met:
            met.append(request)
            return Fault(delay=60.0, reset="before")
        return GOOD

    line.choose = choose
    run = runs.submit(hold=(11,), cluster__storage_endpoint=line.endpoint)
    run.held(11)
    assert met
    run.kubectl("exec", run.training_pod(), "--", "python", "-c", KILL)

    run.release(11)
    run.ends_as(undisturbed, attempts=2)
    assert "continuing from the checkpoint of step 4" in run.shown()
    assert run.status()["stages"][1]["restarts"] == {"killed": 1}


def test_a_damaged_checkpoint_is_passed_over(runs: RealRuns, undisturbed: RealRun) -> None:
    run = runs.submit(hold=(11,))
    run.held(11)
    run.until_saved(8)
    (part,) = [key for key in run.parts(8) if key.endswith("/model.safetensors")]
    body = bytearray(runs.storage.read(part))
    body[len(body) // 2] ^= 1
    runs.storage.write(part, bytes(body))
    run.kubectl("exec", run.training_pod(), "--", "python", "-c", KILL)

    run.release(11)
    run.ends_as(undisturbed, attempts=2)
    assert "checkpoint of step 8 cannot be used: model.safetensors differs" in run.shown()
    assert "continuing from the checkpoint of step 4" in run.shown()


def test_storage_that_is_away_for_a_minute_and_then_slow_stops_no_training(
    runs: RealRuns, undisturbed: RealRun, line: Proxy
) -> None:
    run = runs.submit(hold=(7, 19), cluster__storage_endpoint=line.endpoint)
    run.held(7)
    line.choose = lambda request: Fault(reset="before")
    away = time.monotonic()
    run.release(7)
    until(lambda: time.monotonic() - away >= OUTAGE, "the outage", 2 * OUTAGE, 0.2)
    assert run.committed() == [4]
    line.choose = lambda request: Fault(delay=SLOW)
    run.held(19)
    # A save that is due during an upload waits for its end, and training does not wait for either.
    until(lambda: max(run.committed()) > 4, "a checkpoint is saved slowly", 300.0, 0.5)
    line.choose = lambda request: GOOD

    run.release(19)
    run.ends_as(undisturbed, attempts=1)
