"""The results of runs, from the storage of each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobrunner.runner.api import Runner
from jobrunner.scoring.result import Comparison, compare
from jobrunner.storage import open_storage


def results(
    runner: Runner,
    runs: Sequence[str] = (),
    *,
    storage: str,
    endpoint: str = "",
    only: bool = False,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Comparison]:
    """Comparisons by run, language and test set.

    Args:
        runner: a runner, which knows the storage of its runs.
        runs: run ids; none means all.
        storage: storage of runs that `runner` does not know.
        endpoint: endpoint of an S3 storage.
        only: True to look only in `storage`.
        warn: gets one line for each result that cannot be read.
    """
    from jobrunner.reports.collect import collect

    collected = []
    for url, wanted in _places(runner, runs, storage, only).items():
        collected += collect(open_storage(url, endpoint=endpoint), wanted or None, warn=warn)
    return compare(collected)


def _places(runner: Runner, runs: Sequence[str], storage: str, only: bool) -> dict[str, list[str]]:
    """Storage → runs to read there; an empty list means all of them."""
    if only:
        return {storage: list(runs)}
    known = {status.run: status.storage for status in runner.list() if status.storage}
    if not runs:
        return {url: [] for url in (storage, *known.values())}
    places: dict[str, list[str]] = {}
    for run in runs:
        places.setdefault(known.get(run, storage), []).append(run)
    return places
