"""Pods of stages that never start, and the API as their tokens see it."""

from __future__ import annotations

import copy
import time
import uuid
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from jobrunner.chart import manifests
from tests import builders

NAMESPACE = "jobrunner"
ACCOUNT = "jobrunner-stage"


def wait_until_enforced(admin: client.ApiClient) -> None:
    """Returns when the API server enforces all admission policies that were applied so far.

    It reads new and changed ones in order, within a second or two: so once it enforces one that
    is made now, it enforces those before.
    """
    registration, name = client.AdmissionregistrationV1Api(admin), f"last-{uuid.uuid4().hex[:8]}"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
        "resourceNames": [name],
    }
    policy = {
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "it is enforced"}],
        },
    }
    binding = {
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    registration.create_validating_admission_policy(policy)
    registration.create_validating_admission_policy_binding(binding)
    try:
        deadline = time.monotonic() + 60
        while not _is_refused(admin, name):
            assert time.monotonic() < deadline, "no policy is enforced after 60 s"
            time.sleep(0.2)
    finally:
        registration.delete_validating_admission_policy_binding(name)
        registration.delete_validating_admission_policy(name)


def _is_refused(admin: client.ApiClient, name: str) -> bool:
    try:
        client.CoreV1Api(admin).create_namespaced_config_map(
            NAMESPACE, {"metadata": {"name": name}}, dry_run="All"
        )
    except ApiException as error:
        return "it is enforced" in error.body
    return False


def suspended_jobs(*, seed: int, queue: str = "") -> dict[str, dict[str, Any]]:
    """Jobs of one run by stage, as the chart gives them, all suspended."""
    run = builders.plan(seed=seed, evaluate__languages=["el", "en"], cluster__queue=queue)
    found = {}
    for each in manifests.manifests(run)[1:]:
        each["spec"]["suspend"] = True
        found[each["metadata"]["labels"]["jobrunner.dev/stage"]] = each
    return found


class StagePod:
    """A pod that is never scheduled, and an API client with a token bound to it."""

    def __init__(self, admin: client.ApiClient, name: str, account: str = ACCOUNT) -> None:
        self.core, self.name, self.account = client.CoreV1Api(admin), name, account
        self.configuration = copy.deepcopy(admin.configuration)

    def __enter__(self) -> client.BatchV1Api:
        job = suspended_jobs(seed=1)["train"]
        pod = {"metadata": {"name": self.name, **job["spec"]["template"]["metadata"]}}
        pod["spec"] = {
            **job["spec"]["template"]["spec"],
            "schedulingGates": [{"name": "test/never"}],
            "serviceAccountName": self.account,
        }
        created = self.core.create_namespaced_pod(NAMESPACE, pod)
        bound = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": created.metadata.uid}
        request = {"boundObjectRef": bound, "audiences": []}
        return api_as(self.core, self.configuration, request, self.account)

    def __exit__(self, *error: object) -> None:
        self.core.delete_namespaced_pod(self.name, NAMESPACE, grace_period_seconds=0)


def api_as(
    core: client.CoreV1Api,
    configuration: client.Configuration,
    request: dict[str, Any],
    account: str = ACCOUNT,
) -> client.BatchV1Api:
    """The API for a token of the account that is requested so."""
    answer = core.create_namespaced_service_account_token(account, NAMESPACE, {"spec": request})
    own = copy.deepcopy(configuration)
    # Nothing of the administrator's, whether he has a certificate or a token.
    own.cert_file = own.key_file = own.refresh_api_key_hook = None
    own.api_key = {"BearerToken": f"Bearer {answer.status.token}"}
    return client.BatchV1Api(client.ApiClient(own))
