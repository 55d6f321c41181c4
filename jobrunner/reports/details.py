"""Facts of a run in storage besides its results: settings, learning curve, model, examples."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobrunner.errors import NotFound, UnreadableRun
from jobrunner.reports.examples import Examples
from jobrunner.scoring.metrics import METRICS, Metric
from jobrunner.spec import keys
from jobrunner.spec.record import RunRecord, read_record
from jobrunner.storage import folders
from jobrunner.storage.base import Storage


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field of the spec with its value in a run."""

    path: str
    """Its dotted path, such as `train.steps`."""
    value: str
    default: str
    """The value that the run would have had without it."""

    @property
    def chosen(self) -> bool:
        """True if it differs from the default."""
        return self.value != self.default


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The measurements of a training."""

    losses: tuple[tuple[int, float], ...]
    """Step and loss."""
    metric: Metric
    """Metric of the validations."""
    validations: tuple[tuple[int, float], ...]
    """Step and rate."""

    @property
    def best(self) -> tuple[int, float] | None:
        """The validation whose model is exported: the best, and the last of equal ones."""
        found: tuple[int, float] | None = None
        for step, rate in self.validations:
            if found is None or not self.metric.better(found[1], rate):
                found = (step, rate)
        return found


@dataclass(frozen=True, kw_only=True)
class Details:
    """One run."""

    run: str
    storage: str = ""
    """URL of its storage."""
    record: RunRecord | None = None
    """None if it cannot be read."""
    settings: tuple[Setting, ...] = ()
    curve: Curve | None = None
    exported: bool = False
    """True if the fine-tuned model is complete in storage."""
    examples: Sequence[Examples] = field(default=())


def read_run(
    storage: Storage, run: str, *, warn: Callable[[str], None] = lambda line: None
) -> Details:
    """Reads a run's record, history and export; settings and examples are left to the caller.

    Args:
        storage: storage of the run.
        run: the run id.
        warn: gets one line if the record cannot be read.
    """
    return Details(
        run=run,
        storage=storage.url,
        record=_record(storage, run, warn),
        curve=_curve(storage, run),
        exported=folders.is_whole(storage, keys.export_prefix(run)),
    )


def _record(storage: Storage, run: str, warn: Callable[[str], None]) -> RunRecord | None:
    try:
        return read_record(storage.read(keys.run_file(run)))
    except NotFound:
        return None
    except UnreadableRun as error:
        warn(f"{run}: {error}")
        return None


def _curve(storage: Storage, run: str) -> Curve | None:
    """The learning curve; None if there is no history yet."""
    try:
        lines = storage.read(keys.history_file(run)).splitlines()
    except NotFound:
        return None
    return curve(lines)


def curve(lines: Sequence[bytes]) -> Curve | None:
    """The learning curve in the lines of a history; lines that cannot be read are left out."""
    losses, validations, metric = [], [], next(iter(METRICS.values()))
    for measured in map(_measured, lines):
        # Validations of 0.1.0 have a WER and do not name their metric.
        name = str(measured.get("metric", metric.name))
        rate = measured.get("rate", measured.get(name))
        step = measured.get("step")
        if not isinstance(step, int):
            continue
        if _is_number(measured.get("loss")) and "learning_rate" in measured:
            losses.append((step, float(measured["loss"])))
        elif name in METRICS and _is_number(rate):
            metric = METRICS[name]
            validations.append((step, float(rate)))
    if not losses and not validations:
        return None
    return Curve(losses=tuple(losses), metric=metric, validations=tuple(validations))


def _measured(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
