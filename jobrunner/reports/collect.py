"""The results of runs in storage. They outlive the Jobs that made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobrunner.errors import StorageError
from jobrunner.scoring import result
from jobrunner.scoring.result import Result
from jobrunner.spec import keys
from jobrunner.storage.base import Storage


def collect(
    storage: Storage,
    runs: Sequence[str] | None = None,
    *,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Result]:
    """All results of some runs, or of every run in storage.

    Args:
        storage: storage of the runs.
        runs: run ids; None means all runs, for which every key below `runs/` is listed.
        warn: gets one line for each result that cannot be read; such a result is left out.
    """
    prefixes = [keys.RUNS] if runs is None else [keys.evaluations_prefix(run) for run in runs]
    results = []
    for prefix in prefixes:
        for entry in storage.list(prefix):
            if not keys.is_result(entry.key):
                continue
            try:
                results.append(result.parse(storage.read(entry.key), entry.key))
            except StorageError as error:
                warn(str(error))
    return results
