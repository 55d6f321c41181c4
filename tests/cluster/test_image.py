"""The image in a pod of the chart: what a stage needs works there, and nothing else does."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kubernetes import client

from jobrunner.chart import manifests
from tests import builders

# A compiled function needs the compilers, Python's headers and a cache that can be written.
PROGRAM = """
import getpass, importlib.util, os, tempfile
import torch
doubled = torch.compile(lambda x: (x * 2).relu().sum())(torch.ones(1000)).item()
print("compiled", doubled, os.listdir("/scratch/cache"))
print("user", getpass.getuser(), os.getuid(), os.getgid())
print("shared memory", os.path.ismount("/dev/shm"), os.statvfs("/dev/shm").f_blocks > 0)
print("token", os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"))
print("spec", len(open(os.environ["JOBRUNNER_SPEC"]).read()) > 100)
print("attempt", os.environ["JOBRUNNER_ATTEMPT"])
print("developers", [n for n in ("pytest", "ruff", "uv") if importlib.util.find_spec(n)])
for place in ("/", "/opt/jobrunner", "/etc/jobrunner", os.path.dirname(torch.__file__)):
    try:
        tempfile.TemporaryFile(dir=place)
        print("writable", place)
    except OSError:
        pass
"""


@pytest.fixture
def report(api: client.ApiClient, namespace: str, stage_image: str) -> dict[str, str]:
    """The output of the program, by the first words of its lines."""
    planned = builders.plan(
        resources={"device": "cpu", "cpu": "100m", "memory": "2Gi", "shared_memory": "64Mi"},
        cluster={"image": stage_image, "namespace": namespace, "service_account": "default"},
    )
    run, *jobs = manifests.manifests(planned)
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(namespace, run)
    pod: dict[str, Any] = {
        "metadata": {"name": "try"},
        "spec": jobs[-1]["spec"]["template"]["spec"],
    }
    pod["spec"]["containers"][0].update(command=["tini", "--", "python", "-c"], args=[PROGRAM])
    uid = core.create_namespaced_pod(namespace, pod).metadata.uid
    deadline = time.monotonic() + 300
    while core.read_namespaced_pod("try", namespace).status.phase in {"Pending", "Running"}:
        assert time.monotonic() < deadline, core.read_namespaced_pod("try", namespace).status
        time.sleep(0.5)
    # The client turns the text into the repr of its bytes, unless it is left alone.
    log = core.read_namespaced_pod_log("try", namespace, _preload_content=False).data.decode()
    assert core.read_namespaced_pod("try", namespace).status.phase == "Succeeded", log
    lines = dict(line.split(" ", 1) for line in log.splitlines())
    return {**lines, "uid": uid}


def test_a_stage_compiles_as_a_named_user_on_a_read_only_root(report: dict[str, str]) -> None:
    assert report["compiled"].startswith("2000.0 ")
    assert "inductor" in report["compiled"]
    assert report["user"] == "jobrunner 10001 10001"
    assert report["shared"] == "memory True True"
    assert report["spec"] == "True"
    assert report["attempt"] == report["uid"]
    assert report["token"] == "True"
    assert report["developers"] == "[]"
    assert "writable" not in report
