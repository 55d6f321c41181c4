"""The operations of the Kubernetes backend. It keeps no state, so every client sees the same."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jobrunner.backends.base import LogLine, Outcome
from jobrunner.backends.kubernetes import delete, logs, submit
from jobrunner.backends.kubernetes.api.client import Cluster
from jobrunner.backends.kubernetes.create import TRIES, Changed
from jobrunner.backends.kubernetes.prepare_here import prepare_here
from jobrunner.backends.kubernetes.read import RunWatch, read_jobs, read_run, read_runs
from jobrunner.backends.kubernetes.snapshot import Snapshot
from jobrunner.backends.kubernetes.status import run_status, unreadable
from jobrunner.backends.resubmit import Look, unseen
from jobrunner.errors import UnknownRun, UnreadableRun
from jobrunner.spec import names
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord
from jobrunner.states import RunStatus


def connect(namespace: str) -> KubernetesBackend:
    """The backend of the cluster that the kubeconfig names. Raises UsageError without one."""
    return KubernetesBackend(namespace)


class KubernetesBackend:
    """Runs as Jobs in a namespace of the cluster that the kubeconfig names.

    Args:
        namespace: namespace to look for runs in; a submit uses the one of its spec.
        command: the program of a stage, instead of the image's.

    Raises:
        UsageError: there is no kubeconfig, or it cannot be used.
    """

    name = "kubernetes"

    def __init__(self, namespace: str, *, command: Sequence[str] = ()) -> None:
        self._namespace = namespace
        self._command = tuple(command)
        self._cluster = Cluster()

    def submit(self, plan: Plan, *, look: Look = unseen) -> Outcome:
        """Submits a run; see `Backend.submit`.

        Raises:
            ClusterError: the cluster refuses the objects, or does not answer.
            UsageError: the run has another storage, or the id belongs to another run.
            JobrunnerError: a folder of this machine cannot be prepared into storage.
        """
        prepare_here(plan.record)
        namespace = plan.spec.cluster.namespace
        for _ in range(TRIES):
            try:
                snapshot = read_jobs(self._cluster, namespace, plan.run)
                return submit.submit(self._cluster, plan, snapshot, self._command, look)
            except Changed as error:
                last = error
        raise last

    def status(self, run: str) -> RunStatus:
        return _listed(self._read(run))

    def list(self) -> list[RunStatus]:
        with _without_collection():
            found = [_listed(each) for each in read_runs(self._cluster, self._namespace)]
        return sorted(found, key=lambda status: (-status.submitted, status.run))

    def record(self, run: str) -> RunRecord:
        return self._owner(run).record

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        deadline = time.monotonic() + timeout if timeout is not None else None
        self._owner(run)
        with RunWatch(self._cluster, self._namespace, run) as seen:
            shown: RunStatus | None = None
            while (snapshot := seen.snapshot()) is not None:
                status = _listed(snapshot)
                if status != shown:
                    shown = status
                    yield status
                if status.state.ended or (deadline is not None and time.monotonic() >= deadline):
                    return
                seen.wait(deadline)

    def logs(
        self, run: str, *, stage: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        self._owner(run)  # refuses unknown runs
        return logs.lines(self._cluster, self._namespace, run, stage, follow=follow)

    def cancel(self, run: str) -> None:
        """Cancels a run and waits until none of its pods works; see `Backend.cancel`.

        Raises:
            UsageError: there is no such run.
            ClusterError: its pods did not end in time.
        """
        if self.status(run).state.ended:
            return
        changes = {"metadata": {"annotations": {names.CANCELLED_ANNOTATION: f"{time.time():.6f}"}}}
        self._cluster.patch("ConfigMap", self._namespace, run, changes)
        delete.stop(self._cluster, self._namespace, run)

    def delete(self, run: str) -> None:
        """Deletes a run, its ConfigMap last, so that an interrupted delete can be repeated."""
        owner = self._owner(run).config_map
        delete.stop(self._cluster, self._namespace, run)
        uid = owner["metadata"]["uid"]
        self._cluster.delete("ConfigMap", self._namespace, run, uid=uid, propagation="Foreground")
        delete.until_gone(self._cluster, "ConfigMap", self._namespace, run, uid=uid)

    def _owner(self, run: str) -> Snapshot:
        names.check_run_id(run)
        found = self._cluster.get("ConfigMap", self._namespace, run)
        if found is None or found["metadata"].get("labels", {}).get(names.RUN_LABEL) != run:
            raise self._unknown(run)
        return Snapshot(config_map=found)

    def _read(self, run: str) -> Snapshot:
        names.check_run_id(run)
        found = read_run(self._cluster, self._namespace, run)
        if found is None:
            raise self._unknown(run)
        return found

    def _unknown(self, run: str) -> UnknownRun:
        return UnknownRun(run, f"in namespace {self._namespace}")


def _listed(snapshot: Snapshot) -> RunStatus:
    """The status of a run, even if its record cannot be read here."""
    try:
        return run_status(snapshot)
    except UnreadableRun as error:
        return unreadable(snapshot, error)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Turns off Python's search for reference cycles while objects are read.

    It would search again and again as objects are added: 5,000 Jobs take 1.6 s with it, 0.3 s
    without.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
