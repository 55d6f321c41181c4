"""What a stage's pod may do to Jobs, on a real API server with `k8s/base` applied."""

from __future__ import annotations

import copy
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from jobrunner import chart, names, plan, spec

BASE = Path(__file__).parent.parent.parent / "k8s" / "base"
NAMESPACE = "jobrunner"
ACCOUNT = "jobrunner-stage"


@pytest.fixture(scope="module")
def admin(api: client.ApiClient) -> client.ApiClient:
    """The cluster's administrator, on a cluster with the prerequisites."""
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-k", str(BASE)]
    subprocess.run(command, check=True)
    return api


@pytest.fixture(scope="module")
def run(admin: client.ApiClient) -> Iterator[dict[str, dict[str, Any]]]:
    """Jobs of one run by stage, all suspended so that nothing starts."""
    made = _jobs(seed=uuid.uuid4().int % 2**40)
    batch = client.BatchV1Api(admin)
    for job in made.values():
        batch.create_namespaced_job(NAMESPACE, job)
    _wait_until_enforced(admin, made["train"])
    yield made
    for job in made.values():
        batch.delete_namespaced_job(
            job["metadata"]["name"], NAMESPACE, propagation_policy="Background"
        )


@pytest.fixture(scope="module")
def stage(admin: client.ApiClient, run: dict[str, dict[str, Any]]) -> Iterator[client.BatchV1Api]:
    """The API as the pod of the run's training stage sees it."""
    with StagePod(admin, f"{run['train']['metadata']['name']}-abcde") as api:
        yield api


def _wait_until_enforced(admin: client.ApiClient, job: dict[str, Any]) -> None:
    """The API server reads a new policy within a second or two of its creation."""
    api = _as(client.CoreV1Api(admin), admin.configuration, {"audiences": []})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            _patch(api, job, {"spec": {"suspend": False}})
        except ApiException as error:
            if "bound to its pod" in error.body:
                return
        time.sleep(0.2)
    pytest.fail("the policy is not enforced after 60 s")


def _jobs(*, seed: int, queue: str = "") -> dict[str, dict[str, Any]]:
    values = {
        "lang": "el",
        "seed": seed,
        "storage": "s3://bucket/runs",
        "cluster": {"queue": queue},
    }
    found = {}
    for each in chart.manifests(plan.plan(spec.parse(values)))[1:]:
        each["spec"]["suspend"] = True
        found[each["metadata"]["labels"]["jobrunner.dev/stage"]] = each
    return found


class StagePod:
    """A pod that is never scheduled, and an API client with a token bound to it."""

    def __init__(self, admin: client.ApiClient, name: str) -> None:
        self.core, self.name = client.CoreV1Api(admin), name
        self.configuration = copy.deepcopy(admin.configuration)

    def __enter__(self) -> client.BatchV1Api:
        job = _jobs(seed=1)["train"]
        pod = {"metadata": {"name": self.name, **job["spec"]["template"]["metadata"]}}
        pod["spec"] = {
            **job["spec"]["template"]["spec"],
            "schedulingGates": [{"name": "test/never"}],
        }
        made = self.core.create_namespaced_pod(NAMESPACE, pod)
        bound = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": made.metadata.uid}
        return _as(self.core, self.configuration, {"boundObjectRef": bound, "audiences": []})

    def __exit__(self, *error: object) -> None:
        self.core.delete_namespaced_pod(self.name, NAMESPACE, grace_period_seconds=0)


def _as(
    core: client.CoreV1Api, configuration: client.Configuration, request: dict[str, Any]
) -> client.BatchV1Api:
    told = core.create_namespaced_service_account_token(ACCOUNT, NAMESPACE, {"spec": request})
    own = copy.deepcopy(configuration)
    own.cert_file = own.key_file = None
    own.api_key = {"BearerToken": f"Bearer {told.status.token}"}
    return client.BatchV1Api(client.ApiClient(own))


def _patch(stage: client.BatchV1Api, job: dict[str, Any], change: dict[str, Any]) -> None:
    stage.patch_namespaced_job(job["metadata"]["name"], NAMESPACE, change, dry_run="All")


def test_a_stage_releases_the_next_and_writes_its_progress(
    stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    _patch(stage, run["evaluate-el"], {"spec": {"suspend": False}})
    progress = {names.PROGRESS_ANNOTATION: '{"done": 0.5}', f"{names.PROGRESS_ANNOTATION}-at": "7"}
    _patch(stage, run["train"], {"metadata": {"annotations": progress}})


def test_a_stage_may_read_the_jobs_of_its_run(
    stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    assert stage.read_namespaced_job(run["prepare"]["metadata"]["name"], NAMESPACE)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"parallelism": 5}},
        {"spec": {"backoffLimit": 100}},
        {"spec": {"activeDeadlineSeconds": 10**9}},
        {"spec": {"ttlSecondsAfterFinished": 10**9}},
        {"spec": {"template": {"spec": {"nodeSelector": {"pool": "other"}}}}},
        {"spec": {"template": {"metadata": {"labels": {"jobrunner.dev/stage": "prepare"}}}}},
        {"metadata": {"labels": {"jobrunner.dev/run": "another"}}},
        {"metadata": {"annotations": {"somebody.example/else": "x"}}},
        {"metadata": {"annotations": {names.GATE_ANNOTATION: "x"}}},
        {"metadata": {"finalizers": ["somebody.example/never"]}},
        {
            "metadata": {
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]
            }
        },
    ],
    ids=str,
)
def test_a_stage_changes_nothing_else(
    change: dict[str, Any], stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    with pytest.raises(ApiException) as caught:
        _patch(stage, run["evaluate-el"], change)
    assert caught.value.status == 422
    assert "A stage may" in caught.value.body


def test_a_stage_suspends_nothing(
    admin: client.ApiClient, stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    name = run["train"]["metadata"]["name"]
    client.BatchV1Api(admin).patch_namespaced_job(name, NAMESPACE, {"spec": {"suspend": False}})
    with pytest.raises(ApiException) as caught:
        _patch(stage, run["train"], {"spec": {"suspend": True}})
    assert "may not suspend" in caught.value.body


def test_a_stage_creates_and_deletes_nothing(
    stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    job = copy.deepcopy(run["train"])
    job["metadata"]["name"] += "x"
    with pytest.raises(ApiException) as caught:
        stage.create_namespaced_job(NAMESPACE, job, dry_run="All")
    assert caught.value.status == 403
    with pytest.raises(ApiException) as caught:
        stage.delete_namespaced_job(run["train"]["metadata"]["name"], NAMESPACE, dry_run="All")
    assert caught.value.status == 403


def test_a_stage_leaves_the_jobs_of_other_runs_alone(
    admin: client.ApiClient, run: dict[str, dict[str, Any]]
) -> None:
    mine = run["train"]["metadata"]["labels"]["jobrunner.dev/run"]
    # Runs whose ids begin with this one's, as a model's name could make them.
    strangers = (
        f"el-whisper-small-{uuid.uuid4().hex[:8]}-train-abcde",
        f"{mine}-train-{uuid.uuid4().hex[:8]}-train-abcde",
        f"{mine}-evaluate-abcde",
        f"{mine}-abcde",
    )
    for stranger in strangers:
        with StagePod(admin, stranger) as api, pytest.raises(ApiException) as caught:
            _patch(api, run["evaluate-el"], {"spec": {"suspend": False}})
        assert "does not belong to the run" in caught.value.body


def test_a_token_that_no_pod_holds_changes_nothing(
    admin: client.ApiClient, run: dict[str, dict[str, Any]]
) -> None:
    api = _as(client.CoreV1Api(admin), admin.configuration, {"audiences": []})
    with pytest.raises(ApiException) as caught:
        _patch(api, run["evaluate-el"], {"spec": {"suspend": False}})
    assert "bound to its pod" in caught.value.body


def test_under_kueue_a_stage_takes_off_the_gate_and_cannot_jump_the_queue(
    admin: client.ApiClient,
) -> None:
    job = _jobs(seed=uuid.uuid4().int % 2**40, queue="speech")["train"]
    batch = client.BatchV1Api(admin)
    batch.create_namespaced_job(NAMESPACE, job)
    pod = f"{job['metadata']['labels']['jobrunner.dev/run']}-prepare-abcde"
    try:
        with StagePod(admin, pod) as api:
            _patch(api, job, {"metadata": {"annotations": {names.GATE_ANNOTATION: None}}})
            with pytest.raises(ApiException) as caught:
                _patch(api, job, {"spec": {"suspend": False}})
            assert "not in a queue" in caught.value.body
    finally:
        batch.delete_namespaced_job(
            job["metadata"]["name"], NAMESPACE, propagation_policy="Background"
        )
