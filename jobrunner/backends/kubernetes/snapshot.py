"""What the API server knows of one run, as objects that were read from it."""

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
    """What the API server knows of one run."""

    config_map: Object
    jobs: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    """Warnings of the namespace, those of other objects too."""
    workloads: Sequence[Object] = ()
    """Kueue's."""
    positions: dict[str, int] = field(default_factory=dict)
    """Workload's name → how many are before it in its queue."""
    stored: frozenset[str] = frozenset()
    """Stages whose results lie in storage, where somebody looked."""
    now: float = 0.0
    """Unix time."""
    brief: bool = False
    """Only pods that wait were asked for, and no events: what a list of all runs does."""

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
        """The Job of a stage, if it is there."""
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
        told = metadata.get("annotations", {}).get(names.SUBMITTED_ANNOTATION)
        return float(told) if told else reasons.seconds(metadata["creationTimestamp"]) or 0.0

    @property
    def cancelled(self) -> bool:
        """True when the run was cancelled after its last submit."""
        annotations = self.config_map["metadata"].get("annotations", {})
        return names.CANCELLED_ANNOTATION in annotations
