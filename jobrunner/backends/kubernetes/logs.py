"""Logs of a run's pods: attempts in order, no line lost or repeated, old attempts from storage."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from jobrunner.backends.base import LogLine
from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.api.client import Cluster, Object
from jobrunner.backends.kubernetes.podlog import pod_lines
from jobrunner.backends.kubernetes.read import RunWatch, read_run
from jobrunner.backends.kubernetes.snapshot import Snapshot
from jobrunner.backends.kubernetes.status import run_status
from jobrunner.errors import JobrunnerError
from jobrunner.spec import keys, names
from jobrunner.spec.plan import Plan
from jobrunner.storage import Storage


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """One attempt that has a log, or soon will have one."""

    stage: str
    id: str
    """The pod's uid."""
    at: float
    """Unix time to sort attempts by: a pod's creation, or the end of a stored log."""
    pod: str
    """Name of the pod; empty if only storage has the log."""
    ended: bool


def lines(
    cluster: Cluster, namespace: str, run: str, stage: str | None, *, follow: bool
) -> Iterator[LogLine]:
    """Lines of all attempts of a run; with `follow`, until it has ended.

    Args:
        cluster, namespace, run: the run, which must exist.
        stage: only this stage.
        follow: waits for pods, and continues until the run or the stage has ended.
    """
    if follow:
        with RunWatch(cluster, namespace, run) as seen:
            yield from _Follower(cluster, seen, stage).lines()
        return
    snapshot = read_run(cluster, namespace, run)
    if snapshot is not None:
        storage = snapshot.spec.open_storage()
        for attempt in attempts(snapshot, storage, stage):
            yield from _read(cluster, namespace, storage, run, attempt)


def attempts(snapshot: Snapshot, storage: Storage, stage: str | None = None) -> list[LogSource]:
    """All attempts that have a pod or a stored log, in order."""
    found = [
        LogSource(
            stage=pod["metadata"]["labels"][names.STAGE_LABEL],
            id=pod["metadata"]["uid"],
            at=reasons.seconds(pod["metadata"]["creationTimestamp"]) or 0.0,
            pod=pod["metadata"]["name"],
            ended=pod.get("status", {}).get("phase") in {"Succeeded", "Failed"},
        )
        for pod in snapshot.pods
        if _has_log(pod)
    ]
    with_pod = {attempt.id for attempt in found}
    run = snapshot.config_map["metadata"]["name"]
    prefix = keys.logs_prefix(run)
    with contextlib.suppress(JobrunnerError):
        for entry in storage.list(prefix):
            stored = keys.attempt_of_log(run, entry.key)
            if stored and stored[1] not in with_pod:
                name, uid = stored
                found.append(LogSource(stage=name, id=uid, at=entry.modified, pod="", ended=True))
    chosen = [attempt for attempt in found if stage in {None, attempt.stage}]
    return sorted(chosen, key=lambda attempt: attempt.at)


def _has_log(pod: Object) -> bool:
    state = reasons.container(pod)
    return "running" in state or "terminated" in state


def _read(
    cluster: Cluster,
    namespace: str,
    storage: Storage,
    run: str,
    attempt: LogSource,
    *,
    follow: bool = False,
) -> Iterator[LogLine]:
    """Lines of one attempt: from its pod, and from storage those that were lost with the pod."""
    given = 0
    if attempt.pod:
        whole = False
        for text in pod_lines(cluster, namespace, attempt.pod, attempt.id, follow=follow):
            if text is None:
                whole = True
                break
            given += 1
            yield LogLine(stage=attempt.stage, attempt=attempt.id, text=text)
        if whole:
            return
    with contextlib.suppress(JobrunnerError):
        stored = storage.read(keys.log_file(run, attempt.stage, attempt.id))
        for text in stored.decode(errors="replace").splitlines()[given:]:
            yield LogLine(stage=attempt.stage, attempt=attempt.id, text=text)


class _Follower:
    """Reads each attempt in a thread, so that lines of parallel stages come as they are written.

    Args:
        cluster: the cluster.
        seen: the run.
        stage: only this stage.
    """

    def __init__(self, cluster: Cluster, seen: RunWatch, stage: str | None) -> None:
        self._cluster = cluster
        self._seen = seen
        self._stage = stage
        self._queue: queue.Queue[LogLine | str] = queue.Queue()
        """Lines, and ids of attempts that are read to their end."""
        self._begun: set[str] = set()
        self._open: dict[str, str] = {}
        """Attempts that are being read, and their stages."""
        self._looking = threading.Event()

    def lines(self) -> Iterator[LogLine]:
        """All lines until the run, or the stage, has ended and every attempt was read."""
        snapshot = self._seen.snapshot()
        while snapshot is not None:
            # Checked before looking for attempts: after the end no new attempt can appear.
            over = self._is_over(snapshot)
            self._begin(snapshot)
            if over and not self._open:
                return
            yield from self._next()
            snapshot = self._seen.snapshot()
        while self._open:
            yield from self._next()

    def _is_over(self, snapshot: Snapshot) -> bool:
        status = run_status(snapshot)
        chosen = [each for each in status.stages if each.stage == self._stage]
        return status.state.ended or any(each.state.ended for each in chosen)

    def _begin(self, snapshot: Snapshot) -> None:
        """Starts reading the attempts whose turn it is."""
        planned = snapshot.plan
        storage = snapshot.spec.open_storage()
        namespace = snapshot.config_map["metadata"]["namespace"]
        for attempt in attempts(snapshot, storage, self._stage):
            if attempt.id in self._begun:
                continue
            if any(_is_before(planned, stage, attempt.stage) for stage in self._open.values()):
                break  # its turn comes when those before it are read
            self._begun.add(attempt.id)
            self._open[attempt.id] = attempt.stage
            threading.Thread(
                target=self._enqueue, args=(namespace, storage, planned.run, attempt), daemon=True
            ).start()

    def _enqueue(self, namespace: str, storage: Storage, run: str, attempt: LogSource) -> None:
        try:
            for line in _read(self._cluster, namespace, storage, run, attempt, follow=True):
                self._queue.put(line)
        finally:
            self._queue.put(attempt.id)

    def _next(self) -> Iterator[LogLine]:
        """The next line, if there is one; waits for it, or for a change of the run."""
        if not self._open:
            self._seen.wait(None)
            return
        item = self._queue.get()
        if isinstance(item, str):
            del self._open[item]
        else:
            yield item


def _is_before(planned: Plan, stage: str, other: str) -> bool:
    """True if no line of `other` may come before the last one of `stage`."""
    known = {each.name for each in planned.stages}
    return stage == other or (other in known and stage in planned.before(other))
