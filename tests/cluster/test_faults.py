"""A real training to which a cluster does its worst: in the end it is as if nothing had happened.

Each run is held before a step, so that what is done to it happens where the test says. Weights,
losses and results are those of a run that was left alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from backend_bench import until
from faulty_proxy import GOOD, Fault, Proxy, Request, proxied
from kubernetes import client
from real_runs import SECONDS, RealRun, RealRuns

from jobrunner import names
from jobrunner.errors import Superseded

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
    """What stands between the runs of a test and S3, on this machine."""
    server = urlsplit(os.environ["AWS_ENDPOINT_URL_S3"])
    assert server.hostname
    assert server.port
    with proxied(server.hostname, server.port, listen=server.hostname) as proxy:
        yield proxy


def test_a_pod_that_is_deleted_saves_what_it_has_and_its_successor_goes_on_there(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    run.held(7)
    run.kubectl("delete", "pod", run.training_pod())

    # Asked to stop, it ends the step that it was held at, and saves.
    run.until_saved(7)
    run.ends_as(undisturbed, attempts=2)
    assert "going on from the checkpoint of step 7" in run.told()


def test_a_process_that_outlives_its_pod_cannot_commit(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    (old,) = run.held(7)
    pod = run.training_pod()
    # To its Job the pod is as gone as one that was deleted by force; its process goes on.
    run.kubectl(
        "patch",
        "pod",
        pod,
        "--type=json",
        "-p",
        '[{"op": "remove", "path": "/metadata/ownerReferences"}]',
    )
    run.kubectl("label", "pod", pod, "batch.kubernetes.io/controller-uid-", "controller-uid-")
    (new,) = {*run.held(7, attempts=2)} - {old}
    assert run.committed() == [4]

    run.hold(7, new)
    run.release(7)
    core = client.CoreV1Api(runs.api)

    def end() -> Any:
        status = core.read_namespaced_pod(pod, runs.namespace).status
        return status.phase not in {"Pending", "Running"} and status

    (container,) = until(end, "the old process ends", SECONDS, 0.2).container_statuses
    assert container.state.terminated.exit_code == Superseded.exit_code
    assert "A later attempt" in container.state.terminated.message
    assert run.committed() == [4]
    assert any(key.endswith("/manifest.json") for key in run.parts(8))

    core.delete_namespaced_pod(pod, runs.namespace)
    run.release(7, new)
    run.ends_as(undisturbed, attempts=2)


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
    assert "going on from the checkpoint of step 4" in run.told()
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
    assert "checkpoint of step 8 cannot be used: model.safetensors differs" in run.told()
    assert "going on from the checkpoint of step 4" in run.told()


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
    run.until_saved(16)
    line.choose = lambda request: GOOD

    run.release(19)
    run.ends_as(undisturbed, attempts=1)


def test_an_evicted_pod_spends_none_of_the_attempts(runs: RealRuns, undisturbed: RealRun) -> None:
    run = runs.submit(hold=(7,), cluster__attempts="1")
    run.held(7)
    name = run.training_pod()
    body = {"metadata": {"name": name, "namespace": runs.namespace}}
    client.CoreV1Api(runs.api).create_namespaced_pod_eviction(name, runs.namespace, body)

    run.ends_as(undisturbed, attempts=2)


def test_a_stage_without_enough_memory_is_said_to_have_died_of_it(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    run.held(7)
    run.control.write("eat", b"all")
    run.held(7, attempts=2)
    assert run.status()["stages"][1]["restarts"] == {"out of memory": 1}

    run.release(7)
    run.ends_as(undisturbed, attempts=2)


def test_a_job_that_was_deleted_is_made_again_by_a_submit(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    run.held(7)
    run.kubectl("delete", "job", names.job_name(run.name, "train"), "--cascade=foreground")
    training = run.status()["stages"][1]
    assert training["state"] == "Stopped"
    assert "submit the run again" in training["reason"]
    run.submit(held=True)

    run.release(7)
    run.ends_as(undisturbed, attempts=2)


def test_a_run_that_was_suspended_by_hand_goes_on_where_it_was(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    run.held(7)
    job = f"job/{names.job_name(run.name, 'train')}"
    run.kubectl("patch", job, "-p", '{"spec": {"suspend": true}}')
    until(lambda: run.status()["state"] == "Queued", "it waits", SECONDS, 0.2)
    assert run.status()["reason"].startswith("suspended")
    run.kubectl("patch", job, "-p", '{"spec": {"suspend": false}}')

    run.ends_as(undisturbed, attempts=2)
