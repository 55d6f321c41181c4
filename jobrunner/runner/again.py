"""Finds the next free number of `again`, for another run of an equal spec."""

from __future__ import annotations

from collections.abc import Iterable

from jobrunner.backends.base import Backend
from jobrunner.errors import StorageError, UnknownRun, UnreadableRun
from jobrunner.spec import keys
from jobrunner.spec.record import RunRecord


def first_free(backend: Backend, records: Iterable[RunRecord]) -> RunRecord:
    """The first record whose run is unknown to the backend and to its own storage.

    Raises:
        StorageError: storage cannot be asked.
    """
    return next(record for record in records if not _is_taken(backend, record))


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
