"""Checks of a cluster: rights, objects of k8s/base, nodes, quota, storage, the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused
from jobrunner.doctor.check import Check, stored
from jobrunner.doctor.image import examine_image
from jobrunner.errors import ClusterError, UsageError
from jobrunner.spec.placement import ClusterSpec, ResourcesSpec
from jobrunner.spec.types import is_remote

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
LOCAL_REVIEW = "/apis/authorization.k8s.io/v1/namespaces/{}/localsubjectaccessreviews"
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


def examine_cluster(storage: str, resources: ResourcesSpec, placed: ClusterSpec) -> list[Check]:
    """All checks for runs on the cluster of the kubeconfig.

    Args:
        storage: the storage that a run would use.
        resources: resources that its stages would use.
        placed: its place on the cluster.
    """
    try:
        cluster = Cluster()
        version = cluster.read("/version")["gitVersion"]
    except (ClusterError, UsageError) as error:
        return [Check(name="API server", verdict="fix", found=error.message, advice=error.hint)]
    found = f"{version} at {cluster.server}"
    checks = [Check(name="API server", verdict="ok", found=found), _rights(cluster, placed)]
    checks += [_account(cluster, placed), _policy(cluster)]
    checks += _named(cluster, placed)
    checks += [_nodes(cluster, resources, placed), *_quotas(cluster, placed)]
    checks.append(_storage(storage, placed))
    checks.append(examine_image(cluster, placed))
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
        advice = "Ask whoever runs the cluster to bind you to the role in k8s/user."
        return Check(name="rights", verdict="fix", found=found, advice=advice)
    return Check(name="rights", verdict="ok", found=f"all that a run needs {where}")


def _account(cluster: Cluster, placed: ClusterSpec) -> Check:
    namespace, account = placed.namespace, placed.service_account
    check = _existing(
        cluster,
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}",
        name="service account",
        found=account,
        advice=f"{PREREQUISITES} creates the namespace and everything in it.",
    )
    if check.verdict != "ok" or _may_release(cluster, placed):
        return check
    found = f"{account} may not patch jobs, so no stage could release the next"
    advice = (
        f"kubectl -n {namespace} create rolebinding {account} --role jobrunner-stage "
        f"--serviceaccount {namespace}:{account}"
    )
    return Check(name=check.name, verdict="fix", found=found, advice=advice)


def _may_release(cluster: Cluster, placed: ClusterSpec) -> bool:
    """True if the stages' account may patch Jobs, or if the user may not ask that."""
    asked = {"namespace": placed.namespace, "group": "batch", "resource": "jobs", "verb": "patch"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": placed.namespace},
        "spec": {
            "user": f"system:serviceaccount:{placed.namespace}:{placed.service_account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{placed.namespace}"],
            "resourceAttributes": asked,
        },
    }
    try:
        status = cluster.ask(review, LOCAL_REVIEW.format(placed.namespace))["status"]
    except Refused:
        return True
    return bool(status.get("allowed"))


def _policy(cluster: Cluster) -> Check:
    advice = f"A stage could change Jobs of other runs. {PREREQUISITES}"
    return _existing(
        cluster, POLICY, name="policy", found="jobrunner-stage", advice=advice, verdict="note"
    )


def _named(cluster: Cluster, placed: ClusterSpec) -> Iterator[Check]:
    """Checks of the objects that the configuration names."""
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
            f"{PREREQUISITES} creates jobrunner-low, -normal and -high.",
        ),
        ("queue", kueue, placed.queue, "kubectl apply -k k8s/overlays/kueue"),
    ):
        if value:
            yield _existing(cluster, f"{where}/{value}", name=name, found=value, advice=advice)


def _existing(
    cluster: Cluster, where: str, *, name: str, found: str, advice: str, verdict: str = "fix"
) -> Check:
    """Checks that an object exists; gives a note if the user may not read it."""
    try:
        cluster.read(where)
    except Refused as error:
        if error.status == 404:
            missing: Any = verdict
            return Check(name=name, verdict=missing, found=f"{found} does not exist", advice=advice)
        return Check(name=name, verdict="note", found=f"{found}: you may not read it")
    return Check(name=name, verdict="ok", found=found)


def _nodes(cluster: Cluster, resources: ResourcesSpec, placed: ClusterSpec) -> Check:
    wanted = resources.wanted_gpus
    try:
        nodes = cluster.read("/api/v1/nodes")["items"]
    except Refused:
        return Check(name="nodes", verdict="note", found="you may not read them")
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
    available = int(node["status"].get("allocatable", {}).get("nvidia.com/gpu", 0))
    return available >= wanted and resources.gpu_product in {"", product}


def _quotas(cluster: Cluster, placed: ClusterSpec) -> Iterator[Check]:
    try:
        found = cluster.read(f"/api/v1/namespaces/{placed.namespace}/resourcequotas")["items"]
    except Refused:
        return
    for quota in found:
        status = quota.get("status", {})
        used, hard = status.get("used", {}), status.get("hard", {})
        usage = ", ".join(f"{name} {used.get(name, '0')} of {most}" for name, most in hard.items())
        full = [name for name, most in hard.items() if used.get(name) == most]
        yield Check(
            name=f"quota {quota['metadata']['name']}",
            verdict="note" if full else "ok",
            found=usage,
            advice=f"Used up: {', '.join(full)}. New stages wait." if full else "",
        )


def _storage(url: str, placed: ClusterSpec) -> Check:
    if not is_remote(url):
        advice = 'Set storage = "s3://BUCKET/PREFIX" in jobrunner.toml, or give --storage.'
        return Check(
            name="storage", verdict="fix", found=f"{url or 'none'} is not S3", advice=advice
        )
    return stored(url, placed.storage_endpoint)
