"""How tests make specs, plans and contexts of stages."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner import spec as specs
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.spec import RunSpec
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import new_record
from jobrunner.storage import Storage
from jobrunner.storage.local import LocalStorage


def spec(**changes: Any) -> RunSpec:
    """A spec that can be submitted: Greek, and a bucket.

    Args:
        changes: fields by dotted path, `__` for the dot: `spec(lang="cy", train__steps=5)`.
    """
    values: dict[str, Any] = {"lang": "el", "storage": "s3://bucket/runs"}
    for path, value in changes.items():
        part, _, name = path.rpartition("__")
        if part:
            values[part] = {**values.get(part, {}), name: value}
        else:
            values[name] = value
    return specs.parse(values)


def plan(**changes: Any) -> Plan:
    """The plan of such a spec."""
    return plan_of(spec(**changes))


def plan_of(spec: RunSpec) -> Plan:
    """The plan of a spec that is submitted."""
    return plans.plan(new_record(spec))


def run_id(spec: RunSpec) -> str:
    """The id that a submit of a spec gives."""
    return new_record(spec).run


@dataclass(frozen=True, kw_only=True)
class LoggedContext(StageContext):
    """A context whose log can be read."""

    lines: list[str]


def stage_context(
    spec: RunSpec, scratch: Path, *, storage: Storage | None = None, **fields: Any
) -> LoggedContext:
    """One attempt at a stage, of a name of its own.

    Args:
        spec: of the run.
        scratch: a folder, which is made.
        storage: where it reads and writes instead of the folder that the spec names.
        fields: other fields of the context.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    given: dict[str, Any] = {
        "storage": storage or LocalStorage(Path(spec.storage)),
        "attempt": uuid.uuid4().hex[:12],
        "progress": ProgressReporter(),
        **fields,
    }
    return LoggedContext(
        record=new_record(spec), scratch=scratch, log=lines.append, lines=lines, **given
    )
