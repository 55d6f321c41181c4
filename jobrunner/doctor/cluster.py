"""What a run on a cluster needs: rights, objects of k8s/base, nodes, quota, storage, the image."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.client import Cluster, Object, Refused
from jobrunner.doctor.check import Check
from jobrunner.errors import ClusterError, StorageError, UsageError
from jobrunner.placement import ClusterSpec, ResourcesSpec

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/jobrunner-stage"
PREREQUISITES = "kubectl apply -k k8s/base"
# Verbs that submit, status, logs, cancel and delete need.
RIGHTS = (
    ("batch", "jobs", "get list watch create patch delete"),
    ("", "configmaps", "get list watch create update patch delete"),
    ("", "pods", "get list watch"),
    ("", "pods/log", "get"),
    ("", "events", "list watch"),
)
# Seconds until a node has pulled the image or said why not; a first pull of 6 GB takes longer.
SECONDS_TO_PULL = 60.0


def examine_cluster(storage: str, resources: ResourcesSpec, placed: ClusterSpec) -> list[Check]:
    """All checks for runs on the cluster of the kubeconfig.

    Args:
        storage: the storage that a run would use.
        resources: what its stages would use.
        placed: where on the cluster it would go.
    """
    try:
        cluster = Cluster()
        version = cluster.read("/version")["gitVersion"]
    except (ClusterError, UsageError) as error:
        return [Check(name="API server", verdict="mend", found=error.message, advice=error.hint)]
    found = f"{version} at {cluster.server}"
    checks = [Check(name="API server", verdict="ok", found=found), _rights(cluster, placed)]
    checks += [_account(cluster, placed), _policy(cluster)]
    checks += _named(cluster, placed)
    checks += [_nodes(cluster, resources, placed), *_quotas(cluster, placed)]
    checks.append(_storage(storage, placed))
    checks.append(_image(cluster, placed))
    return checks


def _rights(cluster: Cluster, placed: ClusterSpec) -> Check:
    missing = []
    for group, resource, verbs in RIGHTS:
        kind, _, part = resource.partition("/")
        for verb in verbs.split():
            asked = {
                "namespace": placed.namespace,
                "group": group,
                "resource": kind,
                "subresource": part,
                "verb": verb,
            }
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            }
            if not cluster.ask(review, REVIEW)["status"].get("allowed"):
                missing.append(f"{verb} {resource}")
    where = f"in namespace {placed.namespace}"
    if missing:
        found = f"missing {where}: {', '.join(missing)}"
        advice = "Ask who runs the cluster to bind you to the role in k8s/user."
        return Check(name="rights", verdict="mend", found=found, advice=advice)
    return Check(name="rights", verdict="ok", found=f"all that a run needs {where}")


def _account(cluster: Cluster, placed: ClusterSpec) -> Check:
    where = f"/api/v1/namespaces/{placed.namespace}/serviceaccounts/{placed.service_account}"
    return _there(
        cluster,
        where,
        name="service account",
        found=placed.service_account,
        advice=f"{PREREQUISITES} makes the namespace and all in it.",
    )


def _policy(cluster: Cluster) -> Check:
    advice = f"A stage could change Jobs of other runs. {PREREQUISITES}"
    return _there(
        cluster, POLICY, name="policy", found="jobrunner-stage", advice=advice, verdict="note"
    )


def _named(cluster: Cluster, placed: ClusterSpec) -> Iterator[Check]:
    """What the configuration names."""
    core = f"/api/v1/namespaces/{placed.namespace}"
    kueue = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{placed.namespace}/localqueues"
    create = f"kubectl -n {placed.namespace} create secret generic"
    for name, where, value, advice in (
        (
            "storage secret",
            f"{core}/secrets",
            placed.storage_secret,
            f"{create} {placed.storage_secret} --from-literal=AWS_ACCESS_KEY_ID=... "
            "--from-literal=AWS_SECRET_ACCESS_KEY=...",
        ),
        (
            "hub secret",
            f"{core}/secrets",
            placed.hub_secret,
            f"{create} {placed.hub_secret} --from-literal=HF_TOKEN=...",
        ),
        ("pull secret", f"{core}/secrets", placed.image_pull_secret, "Create it, or name another."),
        (
            "priority class",
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            placed.priority_class,
            f"{PREREQUISITES} makes jobrunner-low, -normal and -high.",
        ),
        ("queue", kueue, placed.queue, "kubectl apply -k k8s/overlays/kueue"),
    ):
        if value:
            yield _there(cluster, f"{where}/{value}", name=name, found=value, advice=advice)


def _there(
    cluster: Cluster, where: str, *, name: str, found: str, advice: str, verdict: str = "mend"
) -> Check:
    """Whether an object is there; a note where one may not look."""
    try:
        cluster.read(where)
    except Refused as error:
        if error.status == 404:
            missing: Any = verdict
            return Check(name=name, verdict=missing, found=f"{found} is not there", advice=advice)
        return Check(name=name, verdict="note", found=f"{found}: you may not look at it")
    return Check(name=name, verdict="ok", found=found)


def _nodes(cluster: Cluster, resources: ResourcesSpec, placed: ClusterSpec) -> Check:
    wanted = 0 if resources.device == "cpu" else resources.gpus
    try:
        nodes = cluster.read("/api/v1/nodes")["items"]
    except Refused:
        return Check(name="nodes", verdict="note", found="you may not look at them")
    fitting = [node for node in nodes if _has_gpus(node, wanted, resources, placed)]
    kinds = sorted({node["metadata"]["labels"].get(placed.gpu_label, "") for node in nodes} - {""})
    if wanted and not fitting:
        product = resources.gpu_product or "any product"
        found = f"none of {len(nodes)} has {wanted} GPU of {product}"
        seen = f"There are {', '.join(kinds)}. " if kinds else ""
        advice = f"{seen}A cluster that adds nodes by itself may still have them."
        return Check(name="nodes", verdict="note", found=found, advice=advice)
    what = f"{len(fitting)} of {len(nodes)} have {wanted} GPU" if wanted else f"{len(nodes)}"
    return Check(name="nodes", verdict="ok", found=what)


def _has_gpus(node: Object, wanted: int, resources: ResourcesSpec, placed: ClusterSpec) -> bool:
    product = node["metadata"]["labels"].get(placed.gpu_label, "")
    there = int(node["status"].get("allocatable", {}).get("nvidia.com/gpu", 0))
    return there >= wanted and resources.gpu_product in {"", product}


def _quotas(cluster: Cluster, placed: ClusterSpec) -> Iterator[Check]:
    try:
        found = cluster.read(f"/api/v1/namespaces/{placed.namespace}/resourcequotas")["items"]
    except Refused:
        return
    for quota in found:
        status = quota.get("status", {})
        used, hard = status.get("used", {}), status.get("hard", {})
        told = ", ".join(f"{name} {used.get(name, '0')} of {most}" for name, most in hard.items())
        full = [name for name, most in hard.items() if used.get(name) == most]
        yield Check(
            name=f"quota {quota['metadata']['name']}",
            verdict="note" if full else "ok",
            found=told,
            advice=f"Used up: {', '.join(full)}. New stages wait." if full else "",
        )


def _storage(url: str, placed: ClusterSpec) -> Check:
    from jobrunner.storage import open_storage
    from jobrunner.storage.base import probe

    if not url.startswith("s3://"):
        advice = 'Set storage = "s3://BUCKET/PREFIX" in jobrunner.toml, or give --storage.'
        return Check(
            name="storage", verdict="mend", found=f"{url or 'none'} is not S3", advice=advice
        )
    try:
        probe(open_storage(url, endpoint=placed.storage_endpoint))
    except StorageError as error:
        return Check(name="storage", verdict="mend", found=error.message, advice=error.hint)
    found = f"{url} can be written and honours conditional writes"
    return Check(name="storage", verdict="ok", found=found)


def _image(cluster: Cluster, placed: ClusterSpec) -> Check:
    """Lets a node pull the image for a pod that does nothing."""
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    try:
        job = cluster.create(_puller(name, placed))
    except Refused as error:
        return Check(name="image", verdict="mend", found=error.message, advice=error.hint)
    try:
        return _pulled(cluster, name, placed)
    finally:
        uid = job["metadata"]["uid"]
        cluster.delete("Job", placed.namespace, name, uid=uid, propagation="Background")


def _pulled(cluster: Cluster, name: str, placed: ClusterSpec) -> Check:
    deadline = time.monotonic() + SECONDS_TO_PULL
    why = "no pod was made"
    while time.monotonic() < deadline:
        pods, _ = cluster.list("Pod", placed.namespace, labels=f"job-name={name}")
        for pod in pods:
            state = reasons.container(pod)
            if "running" in state or "terminated" in state:
                return Check(name="image", verdict="ok", found=f"{placed.image} can be pulled")
            why, blocked = reasons.waiting(pod)
            if blocked and "pulled" in why:
                advice = "Look at cluster.image and cluster.image_pull_secret."
                return Check(name="image", verdict="mend", found=why, advice=advice)
        if not pods:
            events, _ = cluster.list("Event", placed.namespace, fields="reason=FailedCreate")
            refusal = reasons.latest(events, "FailedCreate", name)
            why = reasons.refused(refusal) if refusal else why
        time.sleep(0.5)
    found = f"{placed.image} is not there after {SECONDS_TO_PULL:g} s: {why or 'being pulled'}"
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
