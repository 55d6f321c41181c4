"""Stops and removes objects, and waits until their pods are gone."""

from __future__ import annotations

import time

from jobrunner.backends.kubernetes.api.client import Cluster, Object
from jobrunner.chart.jobs import condition, is_done
from jobrunner.errors import ClusterError
from jobrunner.spec import names

# Seconds between looks at an object that is being deleted, and to wait beyond its pods' grace.
INTERVAL = 0.2
SECONDS_BEYOND_GRACE = 60.0
# Seconds for the pod of a stage that has done its work to end: it stores its log.
SECONDS_TO_END = 30.0


def until_gone(cluster: Cluster, kind: str, namespace: str, name: str, *, uid: str) -> None:
    """Waits until an object that is being deleted, and its pods, are gone.

    Raises:
        ClusterError: it is still there long after its pods' grace.
    """
    current = cluster.get(kind, namespace, name)
    grace = 0.0
    if current is not None and kind == "Job":
        grace = current["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    deadline = time.monotonic() + grace + SECONDS_BEYOND_GRACE
    while current is not None and current["metadata"]["uid"] == uid:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{kind} {name} still exists after {grace + SECONDS_BEYOND_GRACE:g} s.",
                hint="Its finalizers say who keeps it: "
                f"`kubectl -n {namespace} get {kind.lower()} {name} -o yaml`.",
            )
        time.sleep(INTERVAL)
        current = cluster.get(kind, namespace, name)


def stop(cluster: Cluster, namespace: str, run: str) -> None:
    """Deletes the Jobs of a run that have not ended; returns when their pods are gone.

    A stage that has done its work may end by itself, so that its Job records the success.
    """
    jobs, _ = cluster.list("Job", namespace, labels=f"{names.RUN_LABEL}={run}")
    live = [job for job in jobs if not has_ended(job)]
    deleted = []
    # The last stages first, so that none is released by one that ends meanwhile.
    for job in reversed(live):
        if is_done(job) and _ends(cluster, job):
            continue
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        cluster.delete("Job", namespace, name, uid=uid, propagation="Foreground")
        deleted.append((name, uid))
    for name, uid in deleted:
        until_gone(cluster, "Job", namespace, name, uid=uid)


def has_ended(job: Object) -> bool:
    """True if a Job has ended: none of its pods runs or will run."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def _ends(cluster: Cluster, job: Object) -> bool:
    """Waits for the end of a Job whose work is done; False if its pod hangs."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    deadline = time.monotonic() + SECONDS_TO_END
    current: Object | None = job
    while current is not None and not has_ended(current):
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL)
        current = cluster.get("Job", namespace, name)
    return True
