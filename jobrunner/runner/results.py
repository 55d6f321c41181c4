"""The results of runs, from the storage of each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobrunner.config.compare import fields
from jobrunner.errors import UnknownRun, UsageError
from jobrunner.reports.details import Details, Setting, read_run
from jobrunner.reports.examples import Examples
from jobrunner.reports.examples import read as read_examples
from jobrunner.reports.usage import usage
from jobrunner.runner.api import Runner
from jobrunner.scoring.result import Comparison, compare
from jobrunner.spec import RunSpec, keys, names
from jobrunner.spec.types import is_remote
from jobrunner.storage import Storage, open_storage

# Worst and median examples of each result on a page, of either.
PAGE_EXAMPLES = 10

Warn = Callable[[str], None]


def _silent(line: str) -> None:
    """Ignores a warning."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results, and where their runs keep everything else."""

    comparisons: Sequence[Comparison] = ()
    """By run, language and test set."""
    storages: Mapping[str, Storage] = field(default_factory=dict)
    """Storage of each run that has a result."""

    def __len__(self) -> int:
        return len(self.comparisons)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)

    def examples(self, count: int, *, warn: Warn = _silent) -> list[Examples]:
        """The worst and the median utterances of each comparison, `count` of either.

        Raises:
            UsageError: this machine lacks pyarrow.
        """
        return [
            example
            for run, storage in self.storages.items()
            for example in read_examples(storage, self._of(run), count, warn=warn)
        ]

    def details(self, examples: int, *, warn: Warn = _silent) -> list[Details]:
        """Details that a page shows of each run besides its results.

        Args:
            examples: worst and median utterances of each comparison.
            warn: gets one line for each thing that cannot be read.
        """
        found = []
        for run, storage in self.storages.items():
            details = read_run(storage, run, warn=warn)
            chosen: Sequence[Examples] = ()
            try:
                chosen = read_examples(storage, self._of(run), examples, wanted=False, warn=warn)
            except UsageError as error:
                warn(str(error))
            settings = _settings(details.record.spec) if details.record else ()
            found.append(replace(details, settings=settings, examples=chosen))
        return found

    def model(self, *, warn: Warn = _silent) -> str:
        """The place of the model and the lines that load it; empty unless one run has a model."""
        runs = {comparison.run for comparison in self.comparisons if comparison.tuned}
        if len(runs) != 1:
            return ""
        [run] = runs
        details = read_run(self.storages[run], run, warn=warn)
        if details.record is None or not details.exported:
            return ""
        spec = details.record.spec
        return str(usage(details.storage, run, lang=spec.lang, model=spec.model))

    def _of(self, run: str) -> list[Comparison]:
        return [comparison for comparison in self.comparisons if comparison.run == run]


def results(
    runner: Runner,
    runs: Sequence[str] = (),
    *,
    storage: str,
    endpoint: str = "",
    only: bool = False,
    warn: Warn = _silent,
) -> Results:
    """Results by run, language and test set.

    Args:
        runner: a runner, which knows the storage of its runs.
        runs: run ids; none means all.
        storage: storage of runs that `runner` does not know.
        endpoint: endpoint of an S3 storage.
        only: True to look only in `storage`.
        warn: gets one line for each result that cannot be read.

    Raises:
        UnknownRun: there is no such run, here or in storage.
        UsageError: `storage` is a folder that does not exist, and is the only place to look.
    """
    from jobrunner.reports.collect import collect

    if only:
        _check_folder(storage)
    listed = {} if only else {status.run: status.storage for status in runner.list()}
    known = {run: url for run, url in listed.items() if url}
    places = _places(known, runs, storage)
    opened = {url: open_storage(url, endpoint=endpoint) for url in places}
    for run in runs:
        if run not in listed and next(opened[storage].list(keys.run_prefix(run)), None) is None:
            raise _unknown(runner, run, storage, only=only)
    found = []
    storages: dict[str, Storage] = {}
    for url, wanted in places.items():
        here = collect(opened[url], wanted or None, warn=warn)
        storages |= {result.run: opened[url] for result in here}
        found += here
    comparisons = compare(found)
    runs_in_order = dict.fromkeys(comparison.run for comparison in comparisons)
    return Results(comparisons=comparisons, storages={run: storages[run] for run in runs_in_order})


def _places(known: Mapping[str, str], runs: Sequence[str], storage: str) -> dict[str, list[str]]:
    """Storage → runs to read there; an empty list means all of them."""
    if not runs:
        return {url: [] for url in (storage, *known.values())}
    places: dict[str, list[str]] = {}
    for run in runs:
        places.setdefault(known.get(run, storage), []).append(run)
    return places


def _check_folder(storage: str) -> None:
    if not is_remote(storage) and not Path(storage).is_dir():
        raise UsageError(f"storage: there is no folder {storage}.")


def _unknown(runner: Runner, run: str, storage: str, *, only: bool) -> UnknownRun:
    """The error for a run of which there is no trace; it says where was looked."""
    if not only:
        try:
            runner.status(run)
        except UnknownRun as error:
            return error
    return UnknownRun(run, f"in {storage}")


def _settings(spec: RunSpec) -> tuple[Setting, ...]:
    """The settings that determine what a run does; folders by their names."""
    shown = []
    for each in fields(spec):
        section = each.path.partition(".")[0]
        # Where a run runs and keeps its files changes nothing of its results.
        if section in {"cluster", "resources", "storage"}:
            continue
        value, default = each.value, each.default
        if each.path == "model":
            value = names.model_name(value)
        if each.path == "data.source":
            value = ", ".join(source.name for source in spec.data.sources)
        shown.append(Setting(path=each.path, value=_text(value), default=_text(default)))
    return tuple(shown)


def _text(value: object) -> str:
    """A value as people write it in jobrunner.toml, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
