"""Finds done stages in storage, for runs whose Jobs the cluster has removed after their end."""

from __future__ import annotations

import dataclasses
import threading

from jobrunner.backends.kubernetes.snapshot import Snapshot
from jobrunner.errors import StorageError, UnreadableRun
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import Storage


class Storages:
    """Storages of runs, each opened once; threads may share them.

    Opening one takes 0.1 s; noticing that it does not answer takes 10 s.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, str], Storage | StorageError] = {}

    def open(self, spec: RunSpec) -> Storage:
        """The storage of a run. Raises StorageError if it does not answer."""
        place = (spec.storage, spec.cluster.storage_endpoint)
        with self._lock:
            if place not in self._opened:
                self._opened[place] = _first_seen(spec)
        found = self._opened[place]
        if isinstance(found, StorageError):
            raise found
        return found


def _first_seen(spec: RunSpec) -> Storage | StorageError:
    try:
        storage = spec.open_storage()
        # Creates its client now; otherwise each of several threads would create one.
        storage.stat(keys.RUNS.rstrip("/"))
    except StorageError as error:
        return error
    return storage


def with_results(snapshot: Snapshot, storages: Storages) -> Snapshot:
    """The snapshot with the stages whose results are in storage, if Jobs have been removed.

    Args:
        snapshot: a run.
        storages: the storages to ask.
    """
    try:
        spec, planned = snapshot.spec, snapshot.plan
    except UnreadableRun:
        return snapshot
    removed = snapshot.now - snapshot.submitted >= spec.cluster.keep_hours * 3600
    gone = [stage for stage in planned.stages if snapshot.job(stage.name) is None]
    if not removed or not gone:
        return snapshot
    done: set[str] = set()
    try:
        storage = storages.open(spec)
        # Stages before a stage that is done are done too; storage is not asked about them.
        for stage in reversed(gone):
            proof = keys.proof_file(planned, stage)
            if stage.name not in done and proof and storage.stat(proof):
                done |= {stage.name} | planned.before(stage.name)
    except StorageError:
        return snapshot
    return dataclasses.replace(snapshot, stored=frozenset(done))
