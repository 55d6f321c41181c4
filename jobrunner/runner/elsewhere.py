"""Runs that were submitted on another machine, found by the storage that they share with this."""

from __future__ import annotations

from dataclasses import replace

from jobrunner.errors import NotFound, UnknownRun
from jobrunner.runner.space.view import view
from jobrunner.spec import keys, names
from jobrunner.spec.record import RunRecord, read_record


def record_in(url: str, run: str, *, endpoint: str = "") -> RunRecord:
    """The record of a run in a storage, with this storage as its own.

    Args:
        url: a folder or an S3 URL; the other machine may have it under another name.
        run: the run id, or its start.
        endpoint: endpoint of an S3 storage.

    Raises:
        UnknownRun: no run of this storage is meant.
        UnreadableRun: a newer client made it.
        UsageError: there is no such storage, or several runs begin so.
    """
    storage = view(url, endpoint=endpoint).storage
    if not names.is_whole(names.check_run_id(run)):
        places = (keys.part_of_run(entry.key) for entry in storage.list(keys.RUNS))
        run = names.completed(run, sorted({place[0] for place in places if place}))
    try:
        record = read_record(storage.read(keys.run_file(run)))
    except NotFound:
        raise UnknownRun(run, f"in {storage.url}") from None
    spec = record.spec
    cluster = spec.cluster.model_copy(update={"storage_endpoint": endpoint})
    return replace(
        record, spec=spec.model_copy(update={"storage": storage.url, "cluster": cluster})
    )
