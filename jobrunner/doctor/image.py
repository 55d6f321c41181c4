"""Checks that a node can pull the image."""

from __future__ import annotations

import time
import uuid

from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused
from jobrunner.doctor.check import Check
from jobrunner.spec.placement import ClusterSpec

# Seconds for a node to pull the image or to say why not; a first pull of 6 GB takes longer.
SECONDS_TO_PULL = 60.0


def examine_image(cluster: Cluster, placed: ClusterSpec) -> Check:
    """Lets a node pull the image for a pod that does nothing."""
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    try:
        job = cluster.create(_puller(name, placed))
    except Refused as error:
        return Check(name="image", verdict="fix", found=error.message, advice=error.hint)
    try:
        return _pulled(cluster, name, placed)
    finally:
        uid = job["metadata"]["uid"]
        cluster.delete("Job", placed.namespace, name, uid=uid, propagation="Background")


def _pulled(cluster: Cluster, name: str, placed: ClusterSpec) -> Check:
    deadline = time.monotonic() + SECONDS_TO_PULL
    why = "no pod was created"
    while time.monotonic() < deadline:
        pods, _ = cluster.list("Pod", placed.namespace, labels=f"job-name={name}")
        for pod in pods:
            state = reasons.container(pod)
            if "running" in state or "terminated" in state:
                return Check(name="image", verdict="ok", found=f"{placed.image} can be pulled")
            why, blocked = reasons.waiting(pod)
            if blocked and "pulled" in why:
                advice = "Look at cluster.image and cluster.image_pull_secret."
                return Check(name="image", verdict="fix", found=why, advice=advice)
        if not pods:
            events, _ = cluster.list("Event", placed.namespace, fields="reason=FailedCreate")
            refusal = reasons.latest(events, "FailedCreate", name)
            why = reasons.refused(refusal) if refusal else why
        time.sleep(0.5)
    found = f"{placed.image} was not pulled within {SECONDS_TO_PULL:g} s: {why or 'still pulling'}"
    return Check(name="image", verdict="note", found=found)


def _puller(name: str, placed: ClusterSpec) -> Object:
    """A Job under restricted pod security that ends at once."""
    container = {
        "name": reasons.CONTAINER,
        "image": placed.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", ""],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    secrets = [{"name": placed.image_pull_secret}] if placed.image_pull_secret else []
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "serviceAccountName": placed.service_account,
        "imagePullSecrets": secrets,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": placed.namespace},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 60,
            "activeDeadlineSeconds": 300,
            "template": {"spec": pod},
        },
    }
