"""A real training to which a cluster does its worst: in the end it is as if nothing had happened.

Each run is held before a step, so that what is done to it happens where the test says. Weights,
losses and results are those of a run that was left alone.
"""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client

from jobrunner.errors import Superseded
from jobrunner.spec import names
from tests.harness.cluster.real_runs import SECONDS, RealRun, RealRuns
from tests.harness.waiting import until

pytestmark = pytest.mark.timeout(900)


def test_a_pod_that_is_deleted_saves_what_it_has_and_its_successor_goes_on_there(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    run.held(7)
    run.kubectl("delete", "pod", run.training_pod())

    # Asked to stop, it ends the step that it was held at, and saves.
    run.until_saved(7)
    run.ends_as(undisturbed, attempts=2)
    assert "continuing from the checkpoint of step 7" in run.shown()


def test_a_process_that_outlives_its_pod_cannot_commit(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    run = runs.submit(hold=(7,))
    (old,) = run.held(7)
    pod = run.training_pod()
    # To its Job the pod is as gone as one that was deleted by force; its process continues.
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
