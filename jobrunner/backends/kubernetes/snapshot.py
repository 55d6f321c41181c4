"""The API server's objects of one run at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from jobrunner.backends.kubernetes import reasons
from jobrunner.chart.jobs import Object
from jobrunner.spec import RunSpec, names
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord, read_record

# The key of a run's ConfigMap that holds its record.
SPEC_FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The API server's objects of one run."""

    config_map: Object
    jobs: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    """Warnings of the namespace, including those of other objects."""
    workloads: Sequence[Object] = ()
    """Kueue's workloads of the namespace."""
    positions: dict[str, int] = field(default_factory=dict)
    """Workload's name → number of workloads before it in its queue."""
    stored: frozenset[str] = frozenset()
    """Stages whose results were found in storage, if it was asked."""
    now: float = 0.0
    """Unix time."""
    brief: bool = False
    """True in a list of all runs, which asks only for pending pods, and for no events."""

    @property
    def run(self) -> str:
        """The run id."""
        return str(self.config_map["metadata"]["name"])

    @cached_property
    def record(self) -> RunRecord:
        """The run as submitted. Raises UnreadableRun."""
        return read_record(self.config_map["data"][SPEC_FILE])

    @property
    def spec(self) -> RunSpec:
        """The spec as submitted. Raises UnreadableRun."""
        return self.record.spec

    @cached_property
    def plan(self) -> Plan:
        """Its plan. Raises UnreadableRun."""
        return plans.plan(self.record)

    def job(self, stage: str) -> Object | None:
        """The Job of a stage, if it exists."""
        for each in self.jobs:
            if each["metadata"]["labels"].get(names.STAGE_LABEL) == stage:
                return each
        return None

    def pods_of(self, job: Object) -> list[Object]:
        """Pods of a Job, the oldest first."""
        uid = job["metadata"]["uid"]
        owned = [
            pod
            for pod in self.pods
            if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences", ()))
        ]
        return sorted(owned, key=lambda pod: pod["metadata"]["creationTimestamp"])

    @property
    def submitted(self) -> float:
        """Unix time of the last submit that started something."""
        metadata = self.config_map["metadata"]
        stamp = metadata.get("annotations", {}).get(names.SUBMITTED_ANNOTATION)
        return float(stamp) if stamp else reasons.seconds(metadata["creationTimestamp"]) or 0.0

    @property
    def cancelled(self) -> bool:
        """True if the run was cancelled after its last submit."""
        annotations = self.config_map["metadata"].get("annotations", {})
        return names.CANCELLED_ANNOTATION in annotations
