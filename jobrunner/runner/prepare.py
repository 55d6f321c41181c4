"""From a spec to a plan that can start: all checks, the run's record, its stages, its objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobrunner.backends.base import Outcome
from jobrunner.catalog import models, rates
from jobrunner.catalog.backends import BACKENDS, DEFAULT
from jobrunner.corpora.counts import Counts
from jobrunner.runner import preflight as checks
from jobrunner.spec import RunSpec
from jobrunner.spec import estimate as estimates
from jobrunner.spec import plan as plans
from jobrunner.spec.estimate import Estimate
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord, new_record


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run that passed all checks and could start."""

    plan: Plan
    warnings: tuple[str, ...] = ()
    """One line each, about things that the user need not correct."""
    speech: tuple[Counts, ...] = ()
    """The rows and clips of each language, if the speech is on this machine."""
    estimate: Estimate
    """The size of the training, as far as it is known."""
    rate: float | None = None
    """Peak learning rate; None if only `prepare` will know the model's size."""


@dataclass(frozen=True, kw_only=True)
class Submission(Prepared):
    """The result of a submit."""

    outcome: Outcome

    @property
    def run(self) -> str:
        """The run id."""
        return self.plan.run


def prepare(asked: RunSpec | RunRecord, *, backend: str) -> Prepared:
    """Plans a run after all checks that are possible before a start.

    Works offline, even for a run on a cluster. A spec gets a new record; a run that has a record
    keeps its id.

    Raises:
        SpecError: a folder, model, language or storage cannot be used.
        DeviceError: a run on this machine requests more GPUs than it has.
    """
    spec = asked if isinstance(asked, RunSpec) else asked.spec
    found = checks.preflight(spec, BACKENDS.get(backend, BACKENDS[DEFAULT]))
    resolved = checks.resolve(spec)
    record = new_record(resolved) if isinstance(asked, RunSpec) else asked.with_spec(resolved)
    own = (counts.train_seconds for counts in found.speech if counts.language == spec.lang)
    place = Path(resolved.model) if models.is_folder(resolved.model) else None
    return Prepared(
        plan=plans.plan(record),
        warnings=found.warnings,
        speech=found.speech,
        estimate=estimates.estimate(resolved, next(own, 0.0)),
        rate=estimates.usual_rate(resolved, rates.of_folder(place) if place else None),
    )


def manifests(plan: Plan) -> str:
    """The Kubernetes objects of a run as YAML, exactly as a submit sends them."""
    from jobrunner.chart import manifests as chart

    return chart.render(plan)
