"""A real cluster for these tests: the tester's own, or the one that `make cluster-up` started.

With KUBECONFIG set, that cluster is used, the S3 server and the credentials of the AWS variables,
and the image that JOBRUNNER_TEST_IMAGE names (README.md, "Testing on a cluster of your own").
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from light_image import make_light_image

HERE = Path(__file__).parent
CLUSTER = HERE / "testcluster/cluster"
BASE_IMAGE = "localhost/python-base:bookworm"
BUILD = HERE.parent.parent / "images/build"
STAGE_IMAGE = "localhost/jobrunner:test"
LEFT_OUT = pytest.StashKey[str]()
# What the tests and the clients that they start read from the environment.
VARIABLES = ("PATH", "KUBECONFIG", "AWS_ENDPOINT_URL_S3", "AWS_REGION")
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# True when the tester brought a cluster. Asked once, before a fixture sets the variable.
OWN = bool(os.environ.get("KUBECONFIG"))
OWN_IMAGE = os.environ.get("JOBRUNNER_TEST_IMAGE", "")


def _is_up() -> bool:
    return subprocess.run([CLUSTER, "status"], capture_output=True, check=False).returncode == 0


def _environment() -> dict[str, str]:
    """The variables that reach the cluster."""
    if OWN:
        return {}
    script = 'eval "$("$0" env)" && env -0'
    told = subprocess.run(["bash", "-c", script, CLUSTER], capture_output=True, check=True).stdout
    found = dict(line.split("=", 1) for line in told.decode().split("\0") if line)
    return {name: found[name] for name in (*VARIABLES, *SECRETS) if name in found}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    left_out, why = _left_out(ours)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
        config.stash[LEFT_OUT] = f"Left out: {len(left_out)} tests on a real cluster. {why}"


def _left_out(ours: list[pytest.Item]) -> tuple[list[pytest.Item], str]:
    """The tests that this cluster is not for, and why."""
    if OWN and not OWN_IMAGE:
        why = (
            "KUBECONFIG is set: JOBRUNNER_TEST_IMAGE must name the image of this checkout that "
            "the nodes of that cluster can pull (README.md). Without KUBECONFIG, `make cluster-up` "
            "starts one."
        )
        return ours, why
    if OWN:
        stopping = [item for item in ours if "component" in getattr(item, "fixturenames", ())]
        return stopping, "They stop parts of it; `make cluster-up` starts one that they may stop."
    if ours and not _is_up():
        why = "Run `make cluster-up` once, or see README.md to test on a cluster of your own."
        return ours, why
    return [], ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if told := terminalreporter.config.stash.get(LEFT_OUT, ""):
        terminalreporter.write_line(told)


@pytest.fixture(scope="module", autouse=True)
def cluster_environment() -> Iterator[None]:
    """KUBECONFIG, PATH and the AWS variables, for the tests of this folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _environment().items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def api(cluster_environment: None) -> Any:
    """The Kubernetes API as the cluster's administrator."""
    from kubernetes import config

    return config.new_client_from_config(config_file=os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def base_image() -> str:
    """An image with Python, on the nodes."""
    if OWN:
        return OWN_IMAGE
    subprocess.run([CLUSTER, "base-image"], check=True)
    subprocess.run([CLUSTER, "load", BASE_IMAGE], check=True)
    return BASE_IMAGE


@pytest.fixture(scope="session")
def stage_image() -> str:
    """The one image of all stages, built from this checkout, on the nodes.

    The first time takes minutes (6 GB of packages); later only the last layer is made anew.
    JOBRUNNER_TEST_IMAGE names one that is there already.
    """
    if OWN_IMAGE:
        return OWN_IMAGE
    subprocess.run([CLUSTER, "base-image"], check=True)
    subprocess.run([BUILD, "--tag", STAGE_IMAGE, "--base", BASE_IMAGE], check=True)
    subprocess.run([CLUSTER, "load", STAGE_IMAGE], check=True)
    return STAGE_IMAGE


@pytest.fixture(scope="session")
def light_image() -> str:
    """An image with the project as it is here and nothing that models need, on the nodes."""
    return OWN_IMAGE if OWN else make_light_image()


@pytest.fixture
def namespace(api: Any) -> Iterator[str]:
    """A namespace of its own, which admits restricted pods only."""
    from kubernetes import client

    core, name = client.CoreV1Api(api), f"test-{uuid.uuid4().hex[:10]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": name, "labels": labels}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def prepared(namespace: str, tmp_path: Path) -> str:
    """The namespace with what `k8s/base` gives it: account, rights, quota, policies."""
    base = os.path.relpath(HERE.parent.parent / "k8s/base", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(f"namespace: {namespace}\nresources: [{base}]\n")
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-k", str(tmp_path)]
    subprocess.run(command, check=True)
    return namespace


@pytest.fixture
def bucket(cluster_environment: None) -> Iterator[str]:
    """The URL of an empty bucket on the cluster's S3 server."""
    import boto3

    name = f"test-{uuid.uuid4().hex[:12]}"
    resource = boto3.resource("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))
    made = resource.create_bucket(Bucket=name)
    yield f"s3://{name}"
    made.objects.delete()
    made.delete()


@pytest.fixture
def storage_secret(api: Any, namespace: str) -> str:
    """The name of a Secret with the credentials of the S3 server."""
    from kubernetes import client

    data = {name: os.environ[name] for name in SECRETS if os.environ.get(name)}
    body = {"metadata": {"name": "storage"}, "stringData": data}
    client.CoreV1Api(api).create_namespaced_secret(namespace, body)
    return "storage"
