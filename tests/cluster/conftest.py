"""A real cluster for these tests: the tester's own, or the one that `make cluster-up` started.

With KUBECONFIG set, that cluster is used, the S3 server and the credentials of the AWS variables,
and the image that JOBRUNNER_TEST_IMAGE names (CONTRIBUTING.md, "Tests on a real cluster").
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster.backend import ClusterHarness, grant, light_harness
from tests.harness.cluster.light_image import make_light_image
from tests.harness.cluster.places import (
    SECRETS,
    new_bucket,
    new_namespace,
    new_storage_secret,
    once,
)
from tests.harness.cluster.real_runs import RealRun, RealRuns
from tests.harness.paths import CLUSTER, ROOT

HERE = Path(__file__).parent
BASE_IMAGE = "localhost/python-base:bookworm"
BUILD = ROOT / "images/build"
STAGE_IMAGE = "localhost/jobrunner:test"
LEFT_OUT = pytest.StashKey[str]()
# What the tests and the clients that they start read from the environment.
VARIABLES = ("PATH", "KUBECONFIG", "AWS_ENDPOINT_URL_S3", "AWS_REGION")
# True when the tester brought a cluster. Asked once, before a fixture sets the variable.
OWN = bool(os.environ.get("KUBECONFIG"))
OWN_IMAGE = os.environ.get("JOBRUNNER_TEST_IMAGE", "")


def _is_up() -> bool:
    status = subprocess.run([CLUSTER, "status"], capture_output=True, text=True, check=False)
    if status.returncode == 1:
        pytest.exit(
            f"Only a part of the cluster runs; `make cluster-up` fixes it.\n{status.stdout}", 1
        )
    return status.returncode == 0


def _environment() -> dict[str, str]:
    """The variables that reach the cluster."""
    if OWN:
        return {}
    script = 'eval "$("$0" env)" && env -0'
    done = subprocess.run(["bash", "-c", script, CLUSTER], capture_output=True, check=True)
    found = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
    return {name: found[name] for name in (*VARIABLES, *SECRETS) if name in found}


# Before `-m alone` chooses.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        if "component" in _fixtures(item):
            item.add_marker("alone")
    left_out, why = _left_out(ours)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
        config.stash[LEFT_OUT] = f"Left out: {len(left_out)} tests on a real cluster. {why}"


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))


def _left_out(ours: list[pytest.Item]) -> tuple[list[pytest.Item], str]:
    """The tests that this cluster is not for, and why."""
    if OWN and not OWN_IMAGE:
        why = (
            "KUBECONFIG is set: JOBRUNNER_TEST_IMAGE must name the image of this checkout that "
            "the nodes of that cluster can pull (CONTRIBUTING.md). Without KUBECONFIG, `make "
            "cluster-up` starts one."
        )
        return ours, why
    if OWN:
        meddling = [item for item in ours if {"component", "line"} & {*_fixtures(item)}]
        why = "They meddle with its parts; `make cluster-up` starts one where they may."
        return meddling, why
    if ours and not _is_up():
        why = "Run `make cluster-up` once, or see CONTRIBUTING.md to test on a cluster of your own."
        return ours, why
    return [], ""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that are compared with the same undisturbed run go to one worker, all others to any.

    xdist's own groups are lost: it puts their names into `_nodeid`, which pytest 9.2 reads once.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, _ = nodeid.partition("::")
            return file if file.endswith("faults.py") else nodeid

    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if message := terminalreporter.config.stash.get(LEFT_OUT, ""):
        terminalreporter.write_line(message)


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
    return OWN_IMAGE if OWN else once("base", _base_image)


@pytest.fixture(scope="session")
def stage_image() -> str:
    """The one image of all stages, built from this checkout, on the nodes.

    The first time takes minutes (6 GB of packages); later only the last layer is made anew.
    JOBRUNNER_TEST_IMAGE names one that is there already.
    """
    return OWN_IMAGE or once("stage", _stage_image)


@pytest.fixture(scope="session")
def light_image() -> str:
    """An image with the project as it is here and nothing that models need, on the nodes."""
    return OWN_IMAGE if OWN else once("light", make_light_image)


def _base_image() -> str:
    subprocess.run([CLUSTER, "base-image"], check=True)
    subprocess.run([CLUSTER, "load", BASE_IMAGE], check=True)
    return BASE_IMAGE


def _stage_image() -> str:
    subprocess.run([CLUSTER, "base-image"], check=True)
    subprocess.run([BUILD, "--tag", STAGE_IMAGE, "--base", BASE_IMAGE], check=True)
    subprocess.run([CLUSTER, "load", STAGE_IMAGE], check=True)
    return STAGE_IMAGE


@pytest.fixture
def namespace(api: Any) -> Iterator[str]:
    """A namespace of its own."""
    with new_namespace(api) as name:
        yield name


@pytest.fixture
def prepared(namespace: str, tmp_path: Path) -> str:
    """The namespace with what `k8s/base` gives it: account, rights, quota, policies."""
    base = os.path.relpath(ROOT / "k8s/base", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(f"namespace: {namespace}\nresources: [{base}]\n")
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-k", str(tmp_path)]
    subprocess.run(command, check=True)
    return namespace


@pytest.fixture
def bucket(cluster_environment: None) -> Iterator[str]:
    """A bucket of its own."""
    with new_bucket() as url:
        yield url


@pytest.fixture
def storage_secret(api: Any, namespace: str) -> str:
    """The Secret with the credentials of the S3 server, in the namespace."""
    return new_storage_secret(api, namespace)


@pytest.fixture
def harness(
    api: Any, namespace: str, bucket: str, storage_secret: str, light_image: str
) -> Iterator[ClusterHarness]:
    """The backend with light stages, in a namespace and a bucket of its own."""
    with light_harness(api, namespace, bucket, light_image) as made:
        yield made


@pytest.fixture(scope="module")
def runs(
    api: Any, stage_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealRuns]:
    with new_namespace(api) as namespace, new_bucket() as bucket:
        new_storage_secret(api, namespace)
        grant(api, namespace)
        yield RealRuns(
            api=api,
            namespace=namespace,
            bucket=bucket,
            image=stage_image,
            folder=tmp_path_factory.mktemp("runs"),
        )


@pytest.fixture(scope="module")
def undisturbed(runs: RealRuns) -> RealRun:
    run = runs.submit()
    run.succeeded()
    assert run.attempts() == 1
    return run


@pytest.fixture
def component() -> Iterator[Callable[[str, str], None]]:
    """Stops and starts processes of the test cluster; at the end of a test all of them run."""

    def do(verb: str, name: str) -> None:
        subprocess.run([CLUSTER, verb, name], check=True, capture_output=True)

    yield do
    subprocess.run([CLUSTER, "up"], check=True, capture_output=True)
