"""Hints about what a cluster refuses, followed on a real API server."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from jobrunner.backends.kubernetes import delete
from jobrunner.backends.kubernetes.api.client import Cluster, Object
from jobrunner.backends.kubernetes.create import create_owned
from jobrunner.errors import ClusterError
from tests.harness.hints import assert_hint, hinted
from tests.harness.paths import ROOT
from tests.harness.waiting import until


def _config_map(namespace: str, name: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, **metadata},
    }


def _typed(hint: str) -> str:
    """Types the kubectl command of a hint, and gives its output."""
    command = hint[hint.index("kubectl") :].rstrip(".`").split()
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _applied(folder: str, namespace: str, place: Path) -> None:
    """Applies a folder of k8s/ to another namespace."""
    base = os.path.relpath(ROOT / "k8s" / folder, place.resolve())
    (place / "kustomization.yaml").write_text(f"namespace: {namespace}\nresources: [{base}]\n")
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-k", str(place)]
    subprocess.run(command, check=True)


def _token_of(api: Any, namespace: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process the namespace's own account, which has no rights."""
    made = client.CoreV1Api(api).create_namespaced_service_account_token(
        "default", namespace, {"spec": {}}
    )
    cluster = {
        "server": api.configuration.host,
        "certificate-authority": api.configuration.ssl_ca_cert,
    }
    config = {
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": made.status.token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    (place / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(place / "config"))


def test_rights_that_were_given(
    api: Any, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _token_of(api, namespace, tmp_path, patch)
        with hinted("Ask whoever runs the cluster for the rights in k8s/user.", ClusterError):
            Cluster().list("Job", namespace)
    with (ROOT / "k8s/user/user.yaml").open() as file:
        role = next(each for each in yaml.safe_load_all(file) if each["kind"] == "Role")
    rights = client.RbacAuthorizationV1Api(api)
    metadata = {"name": "user", "namespace": namespace}
    rights.create_namespaced_role(namespace, {"metadata": metadata, "rules": role["rules"]})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "user"}
    binding = {"metadata": metadata, "subjects": [subject], "roleRef": reference}
    rights.create_namespaced_role_binding(namespace, binding)
    _token_of(api, namespace, tmp_path, monkeypatch)
    cluster = Cluster()

    def allowed() -> bool:
        try:
            return cluster.list("Job", namespace)[0] == []
        except ClusterError:
            return False

    until(allowed, "the rights count", 30)


@pytest.fixture
def new_name(api: Any) -> Iterator[str]:
    """A namespace that is not there yet, and is gone after the test."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    yield name
    client.CoreV1Api(api).delete_namespace(name)


def test_a_namespace_that_was_created(api: Any, new_name: str, tmp_path: Path) -> None:
    cluster, body = Cluster(), _config_map(new_name, "run")
    with hinted(
        "Does the namespace exist? `kubectl apply -k k8s/base` creates what a run needs.",
        ClusterError,
    ):
        cluster.create(body)
    _applied("base", new_name, tmp_path)
    assert cluster.create(body)["metadata"]["name"] == "run"


def test_a_quota_that_was_enlarged(api: Any, namespace: str) -> None:
    core, cluster = client.CoreV1Api(api), Cluster()
    body = {"metadata": {"name": "small"}, "spec": {"hard": {"count/configmaps": "0"}}}
    core.create_namespaced_resource_quota(namespace, body)
    until(
        lambda: core.read_namespaced_resource_quota("small", namespace).status.used,
        "the quota counts",
        60,
    )
    hint = "Wait until other runs have ended, or ask for a larger quota."
    with hinted(hint, ClusterError):
        cluster.create(_config_map(namespace, "run"))
    larger = {"spec": {"hard": {"count/configmaps": "9"}}}
    core.patch_namespaced_resource_quota("small", namespace, larger)

    def created() -> bool:
        try:
            return bool(cluster.create(_config_map(namespace, "run")))
        except ClusterError:
            return False

    until(created, "the larger quota counts", 60)


def test_something_of_the_same_name_that_was_removed(api: Any, namespace: str) -> None:
    cluster = Cluster()
    owner = cluster.create(_config_map(namespace, "run"))
    other = _config_map(namespace, "part")
    cluster.create(other)
    with pytest.raises(ClusterError) as caught:
        create_owned(cluster, owner, [other])
    assert_hint("Remove it: kubectl -n {} delete {} {}.", caught.value.hint)
    _typed(caught.value.hint)
    create_owned(cluster, owner, [other])
    part = cluster.get("ConfigMap", namespace, "part")
    assert part
    assert part["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]


def test_an_object_that_a_finalizer_keeps(
    api: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete, "SECONDS_BEYOND_GRACE", 0.5)
    cluster = Cluster()
    kept = cluster.create(_config_map(namespace, "kept", finalizers=["example.com/hold"]))
    uid = kept["metadata"]["uid"]
    cluster.delete("ConfigMap", namespace, "kept", uid=uid, propagation="Background")
    with pytest.raises(ClusterError) as caught:
        delete.until_gone(cluster, "ConfigMap", namespace, "kept", uid=uid)
    assert_hint(
        "Its finalizers say who keeps it: `kubectl -n {} get {} {} -o yaml`.", caught.value.hint
    )
    assert "example.com/hold" in _typed(caught.value.hint)
    cluster.patch("ConfigMap", namespace, "kept", {"metadata": {"finalizers": None}})
    delete.until_gone(cluster, "ConfigMap", namespace, "kept", uid=uid)
