"""`jobrunner doctor` on a real cluster: what is there, what is missing, and how to fix it."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from kubernetes import client

from jobrunner.doctor import Check, examine_cluster
from jobrunner.spec.placement import ClusterSpec, ResourcesSpec
from tests.harness.cluster.backend import grant

CPU = ResourcesSpec(device="cpu")


@pytest.fixture
def placed(api: Any, namespace: str, storage_secret: str, light_image: str) -> ClusterSpec:
    """A namespace that has all that a run needs."""
    grant(api, namespace)
    return ClusterSpec(
        namespace=namespace,
        image=light_image,
        storage_secret=storage_secret,
        storage_endpoint=os.environ.get("AWS_ENDPOINT_URL_S3", ""),
    )


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_namespace_with_all_that_a_run_needs_is_fine(placed: ClusterSpec, bucket: str) -> None:
    found = by_name(examine_cluster(f"{bucket}/runs", CPU, placed))

    names = ("API server", "rights", "service account", "storage secret", "storage", "image")
    assert {name: found[name].verdict for name in names} == dict.fromkeys(names, "ok")
    assert "conditional writes" in found["storage"].found


def test_what_is_missing_is_named_with_what_fixes_it(
    api: Any, placed: ClusterSpec, bucket: str
) -> None:
    changes = {
        "image": "localhost/jobrunner-typo:1",
        "storage_secret": "missing",
        "priority_class": "none-such",
    }
    client.CoreV1Api(api).create_namespaced_resource_quota(
        placed.namespace, {"metadata": {"name": "full"}, "spec": {"hard": {"secrets": "1"}}}
    )
    asked = ResourcesSpec(gpus=64)
    found = by_name(examine_cluster("s3://none-such/x", asked, placed.model_copy(update=changes)))

    assert found["image"].verdict == "fix"
    assert "localhost/jobrunner-typo:1 cannot be pulled" in found["image"].found
    assert found["storage secret"].verdict == "fix"
    assert found["storage secret"].advice.startswith(
        f"kubectl -n {placed.namespace} create secret generic missing"
    )
    assert found["priority class"].verdict == "fix"
    assert found["storage"].verdict == "fix"
    assert found["nodes"].verdict == "note"
    assert "64 GPU of any product" in found["nodes"].found
    assert "Used up: secrets" in found["quota full"].advice
    # Nothing is left of the look at the image.
    assert not client.BatchV1Api(api).list_namespaced_job(placed.namespace).items or all(
        job.metadata.deletion_timestamp
        for job in client.BatchV1Api(api).list_namespaced_job(placed.namespace).items
    )


def test_an_account_that_could_release_no_stage_is_named_with_what_fixes_it(
    api: Any, placed: ClusterSpec, bucket: str
) -> None:
    changes = {"service_account": "default", "image": ""}
    asked = placed.model_copy(update=changes)

    (check,) = [c for c in examine_cluster("", CPU, asked) if c.name == "service account"]

    assert check.verdict == "fix"
    assert check.found == "default may not patch jobs, so no stage could release the next"
    subprocess.run(check.advice.split(), check=True)
    (check,) = [c for c in examine_cluster("", CPU, asked) if c.name == "service account"]
    assert check.verdict == "ok"


def test_without_the_rights_of_a_user_each_missing_one_is_named(
    api: Any, placed: ClusterSpec, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = client.CoreV1Api(api).create_namespaced_service_account_token(
        placed.service_account, placed.namespace, {"spec": {}}
    )
    text = f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: {api.configuration.host},
  certificate-authority: {api.configuration.ssl_ca_cert}}}}}]
users: [{{name: u, user: {{token: {token.status.token}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    found = by_name(examine_cluster("s3://none-such/x", CPU, placed))

    assert found["rights"].verdict == "fix"
    assert "create jobs" in found["rights"].found
    assert "get jobs," not in found["rights"].found
    assert "k8s/user" in found["rights"].advice
    assert found["image"].verdict == "fix"
