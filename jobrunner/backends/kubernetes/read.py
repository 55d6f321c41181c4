"""Reads runs from the API server: one run, all runs, or one run as it changes."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused
from jobrunner.backends.kubernetes.api.watch import Watched
from jobrunner.backends.kubernetes.from_storage import Storages, with_results
from jobrunner.backends.kubernetes.snapshot import SPEC_FILE, Snapshot
from jobrunner.chart.jobs import condition
from jobrunner.errors import UnreadableRun
from jobrunner.spec import names

OURS = "app.kubernetes.io/name=jobrunner"
WARNINGS = "type=Warning"
# Runs whose results are looked for at the same time.
AT_ONCE = 8
# Path of Kueue's list of the workloads that wait in a queue, in order.
QUEUE = "/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/{}/localqueues/{}/pendingworkloads"


def read_jobs(cluster: Cluster, namespace: str, run: str) -> Snapshot | None:
    """One run with its Jobs, which show what is done, failed or running; None if there is none."""
    config_map = cluster.get("ConfigMap", namespace, run)
    if config_map is None or not _is_run(config_map):
        return None
    jobs, _ = cluster.list("Job", namespace, labels=f"{names.RUN_LABEL}={run}")
    return with_results(Snapshot(config_map=config_map, jobs=jobs, now=time.time()), Storages())


def read_run(cluster: Cluster, namespace: str, run: str) -> Snapshot | None:
    """One run with all that explains why stages wait; None if there is no such run."""
    snapshot = read_jobs(cluster, namespace, run)
    if snapshot is None:
        return None
    live = [job for job in snapshot.jobs if _is_live(job)]
    pods, _ = cluster.list("Pod", namespace, labels=f"{names.RUN_LABEL}={run}")
    events: list[Object] = []
    if any(not each.get("status", {}).get("ready") for each in live):
        events, _ = cluster.list("Event", namespace, fields=WARNINGS)
    workloads, positions = _queued(cluster, namespace, snapshot.jobs)
    return dataclasses.replace(
        snapshot, pods=pods, events=events, workloads=workloads, positions=positions
    )


def read_runs(cluster: Cluster, namespace: str) -> Iterator[Snapshot]:
    """All runs, from three requests: ConfigMaps, Jobs, and pending pods.

    Storage is asked only about runs whose Jobs the cluster has removed.
    """
    config_maps, _ = cluster.list("ConfigMap", namespace, labels=OURS)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cluster.list, "Job", namespace, labels=OURS)
        pods, _ = cluster.list("Pod", namespace, labels=OURS, fields="status.phase=Pending")
        pods_of, jobs_of = _by_run(pods), _by_run([])
        now = time.time()
        runs = [
            Snapshot(config_map=each, jobs=jobs_of[run], pods=pods_of[run], now=now, brief=True)
            for each in filter(_is_run, config_maps)
            for run in [each["metadata"]["name"]]
        ]
        # The records are parsed while the API server puts the Jobs together.
        for each in runs:
            with contextlib.suppress(UnreadableRun):
                each.plan  # noqa: B018
        for job in asked.result()[0]:
            jobs_of[_run(job)].append(job)
    storages = Storages()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda each: with_results(each, storages), runs)


class RunWatch:
    """One run as it changes; a context manager that ends its watches.

    Args:
        cluster, namespace, run: the run.
    """

    def __init__(self, cluster: Cluster, namespace: str, run: str) -> None:
        self._changed = threading.Condition()
        self._versions = -1
        labels = f"{names.RUN_LABEL}={run}"
        self._watches: list[Watched] = []

        def watched(kind: str, labels: str = "", fields: str = "") -> Watched:
            watch = Watched(cluster, kind, namespace, self._changed, labels=labels, fields=fields)
            self._watches.append(watch)
            return watch

        try:
            self._config_maps = watched("ConfigMap", labels)
            self._jobs = watched("Job", labels)
            self._pods = watched("Pod", labels)
            self._events = watched("Event", fields=WARNINGS)
        except BaseException:
            self.close()
            raise
        self._cluster, self._namespace = cluster, namespace

    def __enter__(self) -> RunWatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watches."""
        for each in self._watches:
            each.stop()

    def snapshot(self) -> Snapshot | None:
        """The run now; None if it was deleted."""
        with self._changed:
            self._versions = self._version()
            config_maps = self._config_maps.objects()
            jobs, pods = self._jobs.objects(), self._pods.objects()
            events = self._events.objects()
        if not config_maps or "deletionTimestamp" in config_maps[0]["metadata"]:
            return None
        workloads, positions = _queued(self._cluster, self._namespace, jobs)
        return Snapshot(
            config_map=config_maps[0],
            jobs=jobs,
            pods=pods,
            events=events,
            workloads=workloads,
            positions=positions,
            now=time.time(),
        )

    def wait(self, deadline: float | None) -> None:
        """Returns when something has changed since `snapshot`, or at the deadline (monotonic)."""
        with self._changed:
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._changed.wait_for(lambda: self._version() != self._versions, timeout=rest)

    def _version(self) -> int:
        return sum(each.changes for each in self._watches)


def _queued(
    cluster: Cluster, namespace: str, jobs: Sequence[Object]
) -> tuple[list[Object], dict[str, int]]:
    """Kueue's workloads, and how many are before each in its queue; empty if access is refused.

    Kueue is asked only while a Job waits in a queue.
    """
    waiting = [job for job in jobs if job["spec"].get("suspend")]
    queues = {job["metadata"]["labels"].get(names.QUEUE_LABEL) for job in waiting} - {None}
    workloads: list[Object] = []
    positions: dict[str, int] = {}
    with contextlib.suppress(Refused):
        workloads = cluster.list("Workload", namespace)[0] if queues else []
        for queue in queues:
            for each in cluster.read(QUEUE.format(namespace, queue)).get("items", ()):
                positions[each["metadata"]["name"]] = each["positionInLocalQueue"]
    return workloads, positions


def _is_run(config_map: Object) -> bool:
    labels = config_map["metadata"].get("labels", {})
    return names.RUN_LABEL in labels and SPEC_FILE in config_map.get("data", {})


def _is_live(job: Object) -> bool:
    ended = condition(job, "Complete") or condition(job, "Failed")
    return not ended and not job["spec"].get("suspend")


def _by_run(found: list[Object]) -> dict[str, list[Object]]:
    runs: dict[str, list[Object]] = defaultdict(list)
    for each in found:
        runs[_run(each)].append(each)
    return runs


def _run(found: Object) -> str:
    return str(found["metadata"]["labels"].get(names.RUN_LABEL, ""))
