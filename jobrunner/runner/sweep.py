"""Sweeps: runs that differ in some values, submitted together and compared with each other.

sweep = jobrunner.sweep({"train.learning_rate": [1e-5, 5e-6]}, lang="el", backend="local")
sweep.wait()
print(sweep.best())
"""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobrunner import config
from jobrunner.config.compare import values
from jobrunner.errors import UsageError
from jobrunner.runner import sdk
from jobrunner.runner.api import open_runner
from jobrunner.runner.prepare import Prepared, prepare
from jobrunner.runner.tables import Report
from jobrunner.scoring.rates import Difference, paired_difference
from jobrunner.scoring.result import Comparison
from jobrunner.spec import RunSpec
from jobrunner.spec import plan as plans
from jobrunner.spec.paths import settings, unknown
from jobrunner.spec.types import slug
from jobrunner.states import RunStatus

# A hundred runs are more than anyone compares; a thousand are a slip of the finger.
MOST_RUNS = 100


def axes(texts: Iterable[str]) -> dict[str, list[str]]:
    """Values by dotted path, from texts such as `train.learning_rate=1e-5,5e-6`.

    Raises:
        UsageError: a text has another form, or names a field that there is not, or one twice.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        path, _, rest = text.partition("=")
        path, given = path.strip(), [value.strip() for value in rest.split(",")]
        if not path or not all(given):
            raise UsageError(
                f"--sweep: {text[:60]!r} is not KEY=VALUE,VALUE.",
                hint="Such as --sweep train.learning_rate=1e-5,5e-6.",
            )
        if path not in settings():
            raise unknown(path, "--sweep")
        if path in found:
            hint = "Put all of its values behind one --sweep."
            raise UsageError(f"--sweep: {path} is given twice.", hint=hint)
        found[path] = given
    return found


def combinations(given: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every choice of one value for each path.

    Raises:
        UsageError: there is only one, or there are too many.
    """
    chosen = [dict(zip(given, each, strict=True)) for each in itertools.product(*given.values())]
    if len(chosen) < 2:
        raise UsageError(
            "--sweep: one value makes one run.", hint="Give two or more, separated by commas."
        )
    if len(chosen) > MOST_RUNS:
        raise UsageError(
            f"--sweep: these values make {len(chosen)} runs, more than {MOST_RUNS}.",
            hint="Give fewer of them.",
        )
    return chosen


def grouped(ready: Sequence[Prepared]) -> list[Prepared]:
    """The runs of a sweep under one name, which follows from their ids unless one was given.

    Raises:
        UsageError: two of them are one run.
    """
    ids = [each.plan.run for each in ready]
    if len(set(ids)) < len(ids):
        raise UsageError(
            "--sweep: two of the runs are the same one.",
            hint="Sweep values that change a result, and each value once.",
        )
    spec = ready[0].plan.spec
    digest = hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:8]
    name = spec.group or f"{slug(spec.lang, 8)}-sweep-{digest}"
    return [_named(each, name) for each in ready]


def _named(ready: Prepared, name: str) -> Prepared:
    record = ready.plan.record
    named = record.with_spec(record.spec.model_copy(update={"group": name}))
    return replace(ready, plan=plans.plan(named))


def varied(specs: Sequence[RunSpec]) -> list[str]:
    """Dotted paths of the fields in which the specs differ."""
    found = [values(spec) for spec in specs]
    return [path for path in settings() if len({repr(each[path]) for each in found}) > 1]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best run of a sweep, by the leading rate in the run's own language."""

    comparison: Comparison
    second: Comparison | None
    """The second best; None if no other has a result."""
    difference: Difference | None
    """The best against the second on the same utterances; None if they cannot be compared."""

    @property
    def run(self) -> str:
        """The run id."""
        return self.comparison.run

    @property
    def clear(self) -> bool:
        """True if the 95 % interval of the paired difference excludes 0."""
        return bool(self.difference and self.difference.significant)


def ranked(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The fine-tuned results in their run's own language, the best first."""
    own = [c for c in comparisons if c.tuned and c.language == c.tuned.trained_on]
    return sorted(own, key=lambda c: (c.test_set, c.either.scores.lead.value, c.run))


def best(comparisons: Iterable[Comparison]) -> Best | None:
    """The best of some runs; None if none has a result."""
    order = ranked(comparisons)
    if not order:
        return None
    first = order[0]
    others = [c for c in order[1:] if c.test_set == first.test_set]
    second = others[0] if others else None
    return Best(
        comparison=first, second=second, difference=_difference(first, second) if second else None
    )


def _difference(first: Comparison, second: Comparison) -> Difference | None:
    try:
        return paired_difference(second.either.scores, first.either.scores)
    except (
        ValueError,
        ImportError,
    ):  # other utterances; or no numpy, which a client can do without
        return None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The runs of a sweep."""

    runs: tuple[sdk.Run, ...]
    values: tuple[Mapping[str, Any], ...]
    """Values of each run, by dotted path."""

    def wait(self, *, timeout: float | None = None) -> list[RunStatus]:
        """Waits for the end of each run; raises WaitTimeout if one takes longer than `timeout`."""
        return [run.wait(timeout=timeout) for run in self.runs]

    def report(self) -> Report:
        """The results so far."""
        return sdk.report(*self.runs)

    def best(self) -> Best | None:
        """The best run so far; None if none has a result."""
        return best(self.report())


def sweep(
    given: Mapping[str, Sequence[Any]],
    *,
    backend: str = "",
    profile: str | None = None,
    config_file: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Sweep:
    """Starts a run for each combination of values, after the checks of all of them.

    Args:
        given: values by dotted path: `{"train.learning_rate": [1e-5, 5e-6]}`.
        backend, profile, config_file, settings, fields: what is common to all runs, as for
            `submit`.

    Raises:
        UsageError: input that can be corrected; the message names the field.
        ClusterError, StorageError: the cluster or storage refuses, or does not answer.
    """
    chosen = combinations(given)
    named = {"data.source" if name == "data" else name: fields[name] for name in fields}
    loaded = [
        config.load(
            arguments={**named, **(settings or {}), **each},
            config=config_file,
            profile=profile,
            backend=backend,
        )
        for each in chosen
    ]
    place, specs = loaded[0].backend, [each.spec() for each in loaded]
    ready = grouped([prepare(spec, backend=place) for spec in specs])
    for line in dict.fromkeys(line for each in ready for line in each.warnings):
        warnings.warn(line, stacklevel=2)
    namespace = specs[0].cluster.namespace
    runner = open_runner(place, namespace=namespace)
    runs = []
    for each in ready:
        runner.start(each.plan)
        runs.append(sdk.Run(id=each.plan.run, backend=place, namespace=namespace))
    return Sweep(runs=tuple(runs), values=tuple(chosen))
