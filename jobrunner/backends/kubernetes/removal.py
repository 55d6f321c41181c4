"""Stops and removes objects, and waits until nothing of them runs."""

from __future__ import annotations

import time

from jobrunner import names
from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.client import Cluster
from jobrunner.errors import ClusterError

# Seconds between looks at what is being deleted, and beyond the grace of its pods.
INTERVAL = 0.2
SECONDS_BEYOND_GRACE = 60.0


def until_gone(cluster: Cluster, kind: str, namespace: str, name: str, *, uid: str) -> None:
    """Waits until an object that is being deleted is gone, its pods too.

    Raises:
        ClusterError: it is still there long after its pods' grace.
    """
    there = cluster.get(kind, namespace, name)
    grace = 0.0
    if there is not None and kind == "Job":
        grace = there["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    deadline = time.monotonic() + grace + SECONDS_BEYOND_GRACE
    while there is not None and there["metadata"]["uid"] == uid:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{kind} {name} is not gone after {grace + SECONDS_BEYOND_GRACE:g} s.",
                hint=f"See `kubectl -n {namespace} describe {kind.lower()} {name}`.",
            )
        time.sleep(INTERVAL)
        there = cluster.get(kind, namespace, name)


def stop(cluster: Cluster, namespace: str, run: str) -> None:
    """Deletes the Jobs of a run that have not ended; returns when their pods are gone."""
    jobs, _ = cluster.list("Job", namespace, labels=f"{names.RUN_LABEL}={run}")
    live = [
        (job["metadata"]["name"], job["metadata"]["uid"])
        for job in jobs
        if not reasons.condition(job, "Complete") and not reasons.condition(job, "Failed")
    ]
    # The last stages first, so that none is released by one that ends meanwhile.
    for name, uid in reversed(live):
        cluster.delete("Job", namespace, name, uid=uid, propagation="Foreground")
    for name, uid in live:
        until_gone(cluster, "Job", namespace, name, uid=uid)
