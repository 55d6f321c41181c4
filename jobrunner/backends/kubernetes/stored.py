"""What storage tells of a run whose Jobs the cluster has removed some time after their end."""

from __future__ import annotations

import dataclasses

from jobrunner import names
from jobrunner.backends.kubernetes.status import Recorded
from jobrunner.errors import StorageError
from jobrunner.plan import Plan, Stage
from jobrunner.storage import Storage, open_storage

# Written last, by every stage that publishes a folder.
MANIFEST = "manifest.json"
RESULT = "result.json"


def with_results(recorded: Recorded) -> Recorded:
    """The record with the stages whose results lie in storage, if Jobs have been removed."""
    spec, planned = recorded.spec, recorded.plan
    removed = recorded.now - recorded.submitted >= spec.cluster.keep_hours * 3600
    gone = [stage for stage in planned.stages if recorded.job(stage.name) is None]
    if not removed or not gone:
        return recorded
    try:
        storage = open_storage(spec.storage, endpoint=spec.cluster.storage_endpoint)
        done = {stage.name for stage in gone if _is_stored(storage, planned, stage)}
    except StorageError:
        return recorded
    # What was before something that is done was done as well.
    for name in tuple(done):
        done |= planned.before(name)
    return dataclasses.replace(recorded, stored=frozenset(done))


def _is_stored(storage: Storage, planned: Plan, stage: Stage) -> bool:
    if stage.kind == "train":
        return storage.stat(names.export_prefix(planned.run) + MANIFEST) is not None
    if stage.kind == "evaluate":
        which = "tuned" if planned.spec.task == "fine-tune" else "base"
        test_set = names.test_set(planned.spec)
        prefix = names.evaluation_prefix(planned.run, which, test_set, stage.language)
        return storage.stat(prefix + RESULT) is not None
    return False
