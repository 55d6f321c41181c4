"""The rights of a stage's pod to Jobs, on a real API server with `k8s/base` applied."""

from __future__ import annotations

import copy
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from jobrunner.spec import names
from jobrunner.states import State
from tests.harness.cluster.backend import BASE, ClusterHarness, light_harness
from tests.harness.cluster.stage_pods import (
    ACCOUNT,
    NAMESPACE,
    StagePod,
    api_as,
    suspended_jobs,
    wait_until_enforced,
)

RELEASE = {"spec": {"suspend": False}}
PROGRESS = {
    "metadata": {
        "annotations": {
            names.PROGRESS_ANNOTATION: "50%, working",
            names.DETAILS_ANNOTATION: '{"done": 0.5}',
        }
    }
}


@pytest.fixture(scope="module")
def admin(api: client.ApiClient) -> client.ApiClient:
    """The cluster's administrator, on a cluster with the prerequisites."""
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-k", str(BASE)]
    subprocess.run(command, check=True)
    wait_until_enforced(api)
    return api


@pytest.fixture(scope="module")
def run(admin: client.ApiClient) -> Iterator[dict[str, dict[str, Any]]]:
    """Jobs of one run by stage, all suspended so that nothing starts."""
    jobs = suspended_jobs(seed=uuid.uuid4().int % 2**40)
    batch = client.BatchV1Api(admin)
    for job in jobs.values():
        batch.create_namespaced_job(NAMESPACE, job)
    yield jobs
    for job in jobs.values():
        batch.delete_namespaced_job(
            job["metadata"]["name"], NAMESPACE, propagation_policy="Background"
        )


@pytest.fixture(scope="module")
def stage(admin: client.ApiClient, run: dict[str, dict[str, Any]]) -> Iterator[client.BatchV1Api]:
    """The API as the pod of the run's training stage sees it."""
    with StagePod(admin, f"{run['train']['metadata']['name']}-abcde") as api:
        yield api


@pytest.fixture(scope="module")
def evaluation(
    admin: client.ApiClient, run: dict[str, dict[str, Any]]
) -> Iterator[client.BatchV1Api]:
    """The API as the pod of the run's evaluation of Greek sees it."""
    with StagePod(admin, f"{run['evaluate-el']['metadata']['name']}-abcde") as api:
        yield api


@pytest.fixture
def other_account(admin: client.ApiClient) -> Iterator[str]:
    """An account that a run may name in `cluster.service_account`, with the rights of stages."""
    core, rbac = client.CoreV1Api(admin), client.RbacAuthorizationV1Api(admin)
    name = f"speech-{uuid.uuid4().hex[:8]}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]
    binding = {"metadata": {"name": name}, "roleRef": role, "subjects": subjects}
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": name}})
    rbac.create_namespaced_role_binding(NAMESPACE, binding)
    yield name
    rbac.delete_namespaced_role_binding(name, NAMESPACE)
    core.delete_namespaced_service_account(name, NAMESPACE)


def _patch(stage: client.BatchV1Api, job: dict[str, Any], change: dict[str, Any]) -> None:
    stage.patch_namespaced_job(job["metadata"]["name"], NAMESPACE, change, dry_run="All")


def _refusal(stage: client.BatchV1Api, job: dict[str, Any], change: dict[str, Any]) -> str:
    with pytest.raises(ApiException) as caught:
        _patch(stage, job, change)
    assert caught.value.status == 422
    return str(caught.value.body)


def test_a_stage_releases_the_next_and_writes_its_progress(
    stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    _patch(stage, run["evaluate-el"], RELEASE)
    _patch(stage, run["train"], PROGRESS)


def test_an_evaluation_writes_its_own_progress_and_releases_nothing(
    evaluation: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    _patch(evaluation, run["evaluate-el"], PROGRESS)
    for change in (RELEASE, {"metadata": {"annotations": {"somebody.example/else": "x"}}}):
        assert "stage" in _refusal(evaluation, run["evaluate-el"], change)
    for other in ("train", "evaluate-en"):
        for change in (PROGRESS, RELEASE):
            assert "only its own Job" in _refusal(evaluation, run[other], change)


@pytest.fixture
def harness(
    admin: client.ApiClient, namespace: str, bucket: str, storage_secret: str, light_image: str
) -> Iterator[ClusterHarness]:
    with light_harness(admin, namespace, bucket, light_image) as jobs:
        yield jobs


def test_under_the_policy_pods_of_all_stages_tell_how_far_they_are(harness: ClusterHarness) -> None:
    harness.hold("evaluate-en")
    plan = harness.plan("el", "en")
    harness.backend.submit(plan)

    harness.until_progress(plan.run, "evaluate-en", 0.5)

    harness.release("evaluate-en")
    assert harness.ended(plan.run).state is State.SUCCEEDED
    jobs = client.BatchV1Api(harness.api).list_namespaced_job(harness.namespace).items
    shown = {
        job.metadata.labels[names.STAGE_LABEL]: job.metadata.annotations[names.PROGRESS_ANNOTATION]
        for job in jobs
    }
    stages = ("prepare", "train", "evaluate-el", "evaluate-en")
    assert shown == dict.fromkeys(stages, "100%, done, step 100/100")


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
    assert "A stage may" in _refusal(stage, run["evaluate-el"], change)


def test_a_stage_suspends_nothing(
    admin: client.ApiClient, stage: client.BatchV1Api, run: dict[str, dict[str, Any]]
) -> None:
    name = run["train"]["metadata"]["name"]
    client.BatchV1Api(admin).patch_namespaced_job(name, NAMESPACE, RELEASE)
    assert "no stage may suspend" in _refusal(stage, run["train"], {"spec": {"suspend": True}})


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
        f"{mine}-evaluate-el-{uuid.uuid4().hex[:8]}-evaluate-el-abcde",
        f"{mine}-evaluate-ell-abcde",
        f"{mine}-evaluate-abcde",
        f"{mine}-abcde",
    )
    for stranger in strangers:
        with StagePod(admin, stranger) as api:
            for change in (RELEASE, PROGRESS):
                assert "belongs to another run" in _refusal(api, run["evaluate-el"], change)


def test_a_stage_under_another_account_is_held_to_the_same(
    admin: client.ApiClient, run: dict[str, dict[str, Any]], other_account: str
) -> None:
    with StagePod(admin, f"{run['train']['metadata']['name']}-fghij", other_account) as api:
        _patch(api, run["evaluate-el"], RELEASE)
        assert "A stage may" in _refusal(api, run["train"], {"spec": {"parallelism": 5}})
    stranger = f"el-whisper-small-{uuid.uuid4().hex[:8]}-evaluate-el-abcde"
    with StagePod(admin, stranger, other_account) as api:
        assert "belongs to another run" in _refusal(api, run["evaluate-el"], PROGRESS)


def test_a_pod_that_may_create_jobs_is_none_of_a_stage_s_whatever_its_name(
    admin: client.ApiClient, run: dict[str, dict[str, Any]], other_account: str
) -> None:
    # Such as one that submits runs from within the cluster.
    rbac = client.RbacAuthorizationV1Api(admin)
    rule = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": other_account}
    subject = {"kind": "ServiceAccount", "name": other_account, "namespace": NAMESPACE}
    metadata = {"name": f"{other_account}-creates"}
    rbac.create_namespaced_role(NAMESPACE, {"metadata": {"name": other_account}, "rules": [rule]})
    binding = {"metadata": metadata, "roleRef": reference, "subjects": [subject]}
    rbac.create_namespaced_role_binding(NAMESPACE, binding)
    try:
        with StagePod(admin, "nightly-train-abcde", other_account) as api:
            _patch(api, run["evaluate-el"], {"metadata": {"annotations": {"our.example/x": "y"}}})
    finally:
        rbac.delete_namespaced_role_binding(metadata["name"], NAMESPACE)
        rbac.delete_namespaced_role(other_account, NAMESPACE)


def test_a_token_that_no_pod_holds_changes_nothing(
    admin: client.ApiClient, run: dict[str, dict[str, Any]]
) -> None:
    api = api_as(client.CoreV1Api(admin), admin.configuration, {"audiences": []})
    assert "bound to its pod" in _refusal(api, run["evaluate-el"], RELEASE)


def test_under_kueue_a_stage_takes_off_the_gate_and_cannot_jump_the_queue(
    admin: client.ApiClient,
) -> None:
    job = suspended_jobs(seed=uuid.uuid4().int % 2**40, queue="speech")["train"]
    batch = client.BatchV1Api(admin)
    batch.create_namespaced_job(NAMESPACE, job)
    pod = f"{job['metadata']['labels']['jobrunner.dev/run']}-prepare-abcde"
    try:
        with StagePod(admin, pod) as api:
            _patch(api, job, {"metadata": {"annotations": {names.GATE_ANNOTATION: None}}})
            assert "not in a queue" in _refusal(api, job, RELEASE)
    finally:
        batch.delete_namespaced_job(
            job["metadata"]["name"], NAMESPACE, propagation_policy="Background"
        )
