"""What a cluster does to a run, done on purpose. Nothing is lost, and nothing happens twice."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cluster_bench
import pytest
from backend_bench import until
from cluster_bench import SECONDS, ClusterBench
from kubernetes import client

from jobrunner import names
from jobrunner.status import StageStatus, State

CLUSTER = Path(__file__).parent / "testcluster/cluster"
OUTAGE = 60.0


@pytest.fixture
def bench(
    api: Any, namespace: str, bucket: str, storage_secret: str, light_image: str
) -> Iterator[ClusterBench]:
    with cluster_bench.bench(api, namespace, bucket, light_image) as made:
        yield made


@pytest.fixture
def component() -> Iterator[Any]:
    """Stops and starts processes of the test cluster; at the end of a test all of them run."""
    if os.environ.get("JOBRUNNER_TEST_IMAGE"):
        pytest.fail("this test stops processes of a cluster: leave it out on a cluster of yours")

    def do(verb: str, name: str) -> None:
        subprocess.run([CLUSTER, verb, name], check=True, capture_output=True)

    yield do
    subprocess.run([CLUSTER, "up"], check=True, capture_output=True)


def started(bench: ClusterBench, **changes: Any) -> str:
    """A run whose training has begun and goes on until it is released."""
    bench.hold("train")
    plan = bench.plan(**changes)
    bench.backend.submit(plan)
    bench.begun("train")
    return plan.run


def training(bench: ClusterBench, run: str) -> StageStatus:
    return bench.backend.status(run).stages[1]


def pod(bench: ClusterBench, run: str) -> str:
    """Name of the pod that trains."""
    selector = f"{names.RUN_LABEL}={run},{names.STAGE_LABEL}=train"
    found = client.CoreV1Api(bench.api).list_namespaced_pod(
        bench.namespace, label_selector=selector
    )
    (name,) = [p.metadata.name for p in found.items if p.status.phase == "Running"]
    return str(name)


def succeeds(bench: ClusterBench, run: str, *, attempts: int) -> None:
    """Releases the training; the run ends as one that nothing happened to."""
    bench.release("train")
    assert bench.ended(run).state is State.SUCCEEDED
    order = [event.stage for event in bench.events("begins")]
    assert order == ["prepare", *["train"] * attempts, "evaluate-el"]


def test_an_evicted_pod_spends_none_of_the_attempts(bench: ClusterBench) -> None:
    run = started(bench, cluster={"attempts": 1})
    name = pod(bench, run)
    body = {"metadata": {"name": name, "namespace": bench.namespace}}
    client.CoreV1Api(bench.api).create_namespaced_pod_eviction(name, bench.namespace, body)

    bench.begun("train", 2)
    succeeds(bench, run, attempts=2)


@pytest.mark.parametrize("grace", [None, 0])
def test_a_deleted_pod_is_replaced(bench: ClusterBench, grace: int | None) -> None:
    run = started(bench)
    options = {} if grace is None else {"grace_period_seconds": grace}
    client.CoreV1Api(bench.api).delete_namespaced_pod(pod(bench, run), bench.namespace, **options)

    bench.begun("train", 2)
    succeeds(bench, run, attempts=2)


def test_a_stage_without_enough_memory_is_said_to_have_died_of_it(bench: ClusterBench) -> None:
    bench.steering.write("eat-train", b"all")
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.begun("train", 2)

    assert training(bench, plan.run).restarts == {"out of memory": 1}
    succeeds(bench, plan.run, attempts=2)


def test_a_job_that_was_deleted_is_made_again_by_a_submit(bench: ClusterBench) -> None:
    run = started(bench)
    client.BatchV1Api(bench.api).delete_namespaced_job(
        names.job_name(run, "train"), bench.namespace, propagation_policy="Foreground"
    )
    until(lambda: training(bench, run).state is State.STOPPED, "the Job is gone", SECONDS)
    assert "submit the run again" in training(bench, run).reason
    # Within moments of a submit, what is missing may still be made by that submit.
    assert bench.backend.submit(bench.plans[-1]) in {"continued", "adopted"}

    bench.begun("train", 2)
    succeeds(bench, run, attempts=2)


def test_a_run_that_was_suspended_by_hand_goes_on_where_it_was(bench: ClusterBench) -> None:
    run = started(bench)
    batch, job = client.BatchV1Api(bench.api), names.job_name(run, "train")
    batch.patch_namespaced_job(job, bench.namespace, {"spec": {"suspend": True}})
    until(lambda: bench.events("stopped", "train"), "the pod is stopped", SECONDS)
    until(lambda: training(bench, run).state is State.QUEUED, "it waits", SECONDS)
    assert training(bench, run).reason.startswith("suspended")

    batch.patch_namespaced_job(job, bench.namespace, {"spec": {"suspend": False}})
    bench.begun("train", 2)
    succeeds(bench, run, attempts=2)


def test_restarted_controllers_start_nothing_twice(bench: ClusterBench, component: Any) -> None:
    run = started(bench)
    component("stop", "kube-controller-manager")
    component("start", "kube-controller-manager")

    succeeds(bench, run, attempts=1)


def test_the_next_stage_is_released_though_the_api_server_is_away(
    bench: ClusterBench, component: Any
) -> None:
    run = started(bench)
    component("stop", "kube-apiserver")
    stopped = time.monotonic()
    bench.release("train")
    until(lambda: bench.events("ends", "train"), "training is done", SECONDS)
    until(lambda: time.monotonic() - stopped >= OUTAGE, "the outage", 2 * OUTAGE)
    assert not bench.events("begins", "evaluate-el")
    component("start", "kube-apiserver")

    assert bench.ended(run).state is State.SUCCEEDED
    assert [e.stage for e in bench.events("begins")] == ["prepare", "train", "evaluate-el"]


def test_who_follows_a_run_does_so_through_an_outage_of_the_api_server(
    bench: ClusterBench, component: Any
) -> None:
    run = started(bench)
    lines = bench.backend.logs(run, follow=True)
    seen = [next(lines).text for _ in range(3)]
    component("stop", "kube-apiserver")
    component("start", "kube-apiserver")
    bench.release("train")
    seen += [line.text for line in lines]

    assert [text[9:] for text in seen] == [
        *("prepare begins with el", "prepare is done"),
        *("train begins with el", "train is done"),
        *("evaluate-el begins with el", "evaluate-el is done"),
    ]
