"""The next free number of `again`, for another run of an equal spec."""

from __future__ import annotations

import itertools

from jobrunner.backends.base import Backend
from jobrunner.errors import StorageError, UnknownRun, UnreadableRun
from jobrunner.spec import RunSpec, keys
from jobrunner.spec.record import RunRecord, new_record


def numbered(backend: Backend, spec: RunSpec) -> RunSpec:
    """The spec with the smallest number, from 1, whose run is unknown to backend and storage.

    Args:
        backend: where runs may be recorded.
        spec: a spec whose folders are pinned by their fingerprints.

    Raises:
        StorageError: storage cannot be asked.
    """
    for number in itertools.count(1):
        asked = spec.model_copy(update={"again": number})
        if not _is_taken(backend, new_record(asked)):
            return asked
    raise AssertionError("numbers do not end")


def _is_taken(backend: Backend, record: RunRecord) -> bool:
    try:
        backend.record(record.run)
    except UnknownRun:
        # A deleted run leaves its checkpoints, from which an equal id would continue.
        key = keys.run_file(record.run)
        return bool(record.spec.storage) and record.spec.open_storage().stat(key) is not None
    except (UnreadableRun, StorageError):
        return True  # it is there, but this client cannot read it
    return True
