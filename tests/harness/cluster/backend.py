"""The Kubernetes backend with light stages, steered through storage (see stages/pod.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from jobrunner.backends.kubernetes.backend import KubernetesBackend
from jobrunner.errors import NotFound
from jobrunner.spec.plan import Plan
from jobrunner.storage import Storage, open_storage
from tests import builders
from tests.harness.backend import Harness
from tests.harness.paths import ROOT, STAGES

BASE = ROOT / "k8s" / "base"
# Seconds between a submit and the end of a run with light stages, on a busy machine.
SECONDS = 150.0
# Two cores are shared by everything that these tests run.
SMALL = {
    "device": "cpu",
    "cpu": "50m",
    "memory": "256Mi",
    "prepare_cpu": "50m",
    "prepare_memory": "256Mi",
    "shared_memory": "16Mi",
    "scratch": "1Gi",
}


@dataclass(kw_only=True)
class ClusterHarness(Harness):
    """A namespace with everything that stages need, and a bucket."""

    api: Any
    namespace: str
    bucket: str
    image: str
    seconds: float = SECONDS

    def plan(self, *languages: str, **changes: Any) -> Plan:
        cluster = {
            "namespace": self.namespace,
            "image": self.image,
            "storage_endpoint": os.environ.get("AWS_ENDPOINT_URL_S3", ""),
            "storage_secret": "storage",
            **changes.pop("cluster", {}),
        }
        values = {
            "model": "whisper-tiny",
            "storage": f"{self.bucket}/runs",
            "resources": {**SMALL, **changes.pop("resources", {})},
            "cluster": cluster,
            **changes,
        }
        return builders.plan(evaluate__languages=list(languages), **values)

    @property
    def steering(self) -> Storage:
        return open_storage(f"{self.bucket}/control")

    def hold(self, stage: str) -> None:
        self.steering.write(f"hold-{stage}", b"held")

    def release(self, stage: str) -> None:
        self.steering.delete(f"hold-{stage}")

    def holds(self, stage: str) -> bool:
        return self.steering.stat(f"hold-{stage}") is not None

    def codes(self, stage: str, *codes: int) -> None:
        self.steering.write(f"codes-{stage}", "\n".join(map(str, codes)).encode())

    def until_progress(self, run: str, stage: str, done: float) -> None:
        """Returns when the Job of a stage reports this progress."""
        for status in self.backend.watch(run, timeout=self.seconds):
            if any(s.stage == stage and s.progress.done == done for s in status.stages):
                return
        raise AssertionError(f"{stage} does not report {done}")

    def stored(self, key: str) -> str | None:
        try:
            return open_storage(f"{self.bucket}/runs").read(key).decode()
        except NotFound:
            return None

    def journal(self) -> list[str]:
        steering = self.steering
        return [steering.read(entry.key).decode() for entry in steering.list("journal/")]


@contextmanager
def light_harness(api: Any, namespace: str, bucket: str, image: str) -> Iterator[ClusterHarness]:
    """The backend in a namespace that has the rights of stages; its runs are ended at the end."""
    grant(api, namespace)
    program = (STAGES / "pod.py").read_text()
    backend = KubernetesBackend(namespace, command=("python3", "-c", program))
    yield ClusterHarness(backend=backend, api=api, namespace=namespace, bucket=bucket, image=image)


def grant(api: Any, namespace: str) -> None:
    """Makes the stages' account and its rights in a namespace, as k8s/base has them."""
    for body in yaml.safe_load_all((BASE / "stage.yaml").read_text()):
        body["metadata"]["namespace"] = namespace
        for subject in body.get("subjects", ()):
            subject["namespace"] = namespace
        if body["kind"] == "ServiceAccount":
            client.CoreV1Api(api).create_namespaced_service_account(namespace, body)
        elif body["kind"] == "Role":
            client.RbacAuthorizationV1Api(api).create_namespaced_role(namespace, body)
        else:
            client.RbacAuthorizationV1Api(api).create_namespaced_role_binding(namespace, body)


def jobrunner(folder: Path, *arguments: str, code: int = 0) -> str:
    """The output of a command on stdout."""
    command = [sys.executable, "-m", "jobrunner", *arguments]
    environment = {
        **os.environ,
        "JOBRUNNER_STATE": str(folder / "state"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout
