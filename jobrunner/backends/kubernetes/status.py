"""The status of a run from recorded objects. Pure: no clock, no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import ValidationError

from jobrunner import status as states
from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.api.client import Object
from jobrunner.chart.jobs import condition, is_done
from jobrunner.errors import UnreadableRun
from jobrunner.spec import RunSpec, names
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan, Stage
from jobrunner.spec.record import RunRecord, read_record
from jobrunner.status import Progress, RunStatus, StageStatus, State

SPEC_FILE = "run.json"
# Seconds in which a Job that may start gets a pod, unless something is in the way.
SECONDS_TO_MAKE_A_POD = 10.0


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


def run_status(recorded: Snapshot) -> RunStatus:
    """The status of a run."""
    planned = recorded.plan
    spec = planned.spec
    stages: list[StageStatus] = []
    for stage in planned.stages:
        stages.append(_stage_status(recorded, planned, stage, {s.stage: s for s in stages}))
    return states.run_status(
        stages,
        run=planned.run,
        lang=spec.lang,
        model=names.model_name(spec.model),
        backend="kubernetes",
        storage=spec.storage,
        submitted=recorded.submitted,
    )


def unreadable(recorded: Snapshot, error: UnreadableRun) -> RunStatus:
    """What the Jobs alone say of a run whose record cannot be read here."""
    return states.run_status(
        [_of_job(job) for job in recorded.jobs],
        run=recorded.run,
        lang="",
        model="",
        backend="kubernetes",
        submitted=recorded.submitted,
        reason=error.message,
    )


def _of_job(job: Object) -> StageStatus:
    name, state = str(job["metadata"]["labels"].get(names.STAGE_LABEL, "")), State.RUNNING
    for kind, ended in (("Complete", State.SUCCEEDED), ("Failed", State.FAILED)):
        if condition(job, kind):
            return StageStatus(stage=name, state=ended)
    if job["spec"].get("suspend"):
        state = State.WAITING
    return StageStatus(stage=name, state=state, progress=_progress(job))


def _stage_status(
    recorded: Snapshot, planned: Plan, stage: Stage, known: dict[str, StageStatus]
) -> StageStatus:
    job = recorded.job(stage.name)
    if job is None or (recorded.cancelled and "deletionTimestamp" in job["metadata"]):
        return _without_job(recorded, planned, stage)
    pods = recorded.pods_of(job)
    status = job.get("status", {})
    active, failed = status.get("active", 0), status.get("failed", 0)
    found = StageStatus(
        stage=stage.name,
        state=State.WAITING,
        attempts=max(len(pods), active + failed + status.get("succeeded", 0)),
        restarts=dict(Counter(reasons.ended(p)[0] for p in pods if _is_failed(p))),
        started=reasons.seconds(status.get("startTime")),
        progress=_progress(job),
    )
    if condition(job, "Complete"):
        return _succeeded(job, found)
    if end := condition(job, "Failed"):
        return _failed(job, end, pods, found)
    if job["spec"].get("suspend"):
        ready = all(known[name].state is State.SUCCEEDED for name in planned.before(stage.name))
        return found if not ready else _held(recorded, job, found)
    return _live(recorded, job, pods, found)


def _without_job(recorded: Snapshot, planned: Plan, stage: Stage) -> StageStatus:
    """Cancelled, removed after its end, or never made."""
    found = StageStatus(stage=stage.name, state=State.STOPPED)
    after = [other for other in planned.stages if stage.name in planned.before(other.name)]
    released = any(
        job is not None and (not job["spec"].get("suspend") or is_done(job))
        for job in (recorded.job(other.name) for other in after)
    )
    if stage.name in recorded.stored or released:
        progress = Progress(done=1.0)
        return found.model_copy(update={"state": State.SUCCEEDED, "progress": progress})
    if recorded.cancelled:
        return found.model_copy(update={"state": State.CANCELLED, "reason": "cancelled"})
    reason = "its Job is not there; submit the run again to make it"
    if recorded.now - recorded.submitted >= recorded.spec.cluster.keep_hours * 3600:
        reason = "its Job was removed some time after its end, and storage has no result of it"
    return found.model_copy(update={"reason": reason})


def _succeeded(job: Object, found: StageStatus) -> StageStatus:
    changes = {
        "state": State.SUCCEEDED,
        "exit_code": 0,
        "ended": reasons.seconds(job["status"].get("completionTime")),
        "progress": found.progress.model_copy(update={"done": 1.0, "seconds_left": None}),
    }
    return found.model_copy(update=changes)


def _failed(job: Object, end: Object, pods: list[Object], found: StageStatus) -> StageStatus:
    told = [reasons.ended(pod) for pod in pods if _is_failed(pod)]
    _, reason, code = told[-1] if told else ("", "", None)
    if end.get("reason") == "DeadlineExceeded":
        limit = job["spec"].get("activeDeadlineSeconds", 0) / 3600
        reason = f"ended after {limit:g} h, the most that cluster.deadline_hours allows"
    changes = {
        "state": State.FAILED,
        "reason": reason or end.get("message", "failed"),
        "exit_code": code,
        "ended": reasons.seconds(end.get("lastTransitionTime")),
    }
    return found.model_copy(update=changes)


def _held(recorded: Snapshot, job: Object, found: StageStatus) -> StageStatus:
    """A Job that could run and is suspended: in a queue, or by somebody's hand."""
    reason = "suspended; submit the run again to go on"
    if names.QUEUE_LABEL in job["metadata"]["labels"]:
        reason = _queue_reason(recorded, job)
    return found.model_copy(update={"state": State.QUEUED, "reason": reason})


def _queue_reason(recorded: Snapshot, job: Object) -> str:
    queue = job["metadata"]["labels"][names.QUEUE_LABEL]
    uid = job["metadata"]["uid"]
    for workload in recorded.workloads:
        metadata = workload["metadata"]
        if not any(owner["uid"] == uid for owner in metadata.get("ownerReferences", ())):
            continue
        if (place := recorded.positions.get(metadata["name"])) is not None:
            return f"in queue {queue}, {place} before it"
        for each in workload.get("status", {}).get("conditions") or ():
            if each["type"] == "QuotaReserved" and each["status"] == "False":
                return f"in queue {queue}: {' '.join(each.get('message', '').split())[:200]}"
    return f"in queue {queue}"


def _live(recorded: Snapshot, job: Object, pods: list[Object], found: StageStatus) -> StageStatus:
    current = next((pod for pod in reversed(pods) if _is_live(pod)), None)
    if current is not None:
        if {"running", "terminated"} & reasons.container(current).keys():
            return found.model_copy(update={"state": State.RUNNING})
        reason, blocked = reasons.waiting(current, recorded.events)
        state = State.STARTING if current["spec"].get("nodeName") else State.QUEUED
        return found.model_copy(update={"state": state, "reason": reason, "blocked": blocked})
    if _is_ending(job, pods):
        return found.model_copy(update={"state": State.RUNNING})
    begun = max(recorded.submitted, found.started or 0.0)
    refusal = reasons.latest(recorded.events, "FailedCreate", job["metadata"]["name"], begun - 1)
    if refusal:
        changes = {"state": State.QUEUED, "reason": reasons.refused(refusal), "blocked": True}
        return found.model_copy(update=changes)
    if job.get("status", {}).get("active"):
        # Its pod does not wait, so a list did not ask for it.
        return found.model_copy(update={"state": State.RUNNING})
    reason = _failed_before(job)
    if pods:
        _, told, code = reasons.ended(pods[-1])
        reason = f"{reason}: {told}" if reason else told
        found = found.model_copy(update={"exit_code": code})
    elif recorded.brief and not reason and _lacks_a_pod(recorded, job):
        reason = "has no pod; see `jobrunner status RUN`"
    return found.model_copy(update={"state": State.QUEUED, "reason": reason})


def _failed_before(job: Object) -> str:
    failed, most = job.get("status", {}).get("failed", 0), job["spec"].get("backoffLimit", 0) + 1
    return f"attempt {failed} of {most} failed and is repeated" if failed else ""


def _lacks_a_pod(recorded: Snapshot, job: Object) -> bool:
    """True if a Job that may start has had no pod for so long that there must be a reason."""
    status = job.get("status", {})
    begun = reasons.seconds(status.get("startTime"))
    waited = recorded.now - begun if begun else 0.0
    return waited > SECONDS_TO_MAKE_A_POD and not status.get("terminating")


def _is_ending(job: Object, pods: list[Object]) -> bool:
    """True if the last pod succeeded and the Job is not complete yet."""
    status = job.get("status", {})
    counted = status.get("succeeded") or status.get("uncountedTerminatedPods", {}).get("succeeded")
    return bool(counted) or bool(pods and _phase(pods[-1]) == "Succeeded")


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _is_live(pod: Object) -> bool:
    return _phase(pod) not in {"Succeeded", "Failed"}


def _is_failed(pod: Object) -> bool:
    return _phase(pod) == "Failed"


def _progress(job: Object) -> Progress:
    told = (job["metadata"].get("annotations") or {}).get(names.DETAILS_ANNOTATION, "{}")
    try:
        return Progress.model_validate_json(told)
    except ValidationError:
        return Progress()
