"""The status of a run from snapshot objects. Pure: no clock, no network."""

from __future__ import annotations

from collections import Counter

from pydantic import ValidationError

from jobrunner import states
from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.api.client import Object
from jobrunner.backends.kubernetes.snapshot import Snapshot
from jobrunner.chart.jobs import condition, is_done
from jobrunner.errors import UnreadableRun
from jobrunner.spec import names
from jobrunner.spec.plan import Plan, Stage
from jobrunner.states import Progress, RunStatus, StageStatus, State

# Seconds within which an unsuspended Job gets a pod, unless something prevents it.
SECONDS_TO_MAKE_A_POD = 10.0


def run_status(snapshot: Snapshot) -> RunStatus:
    """The status of a run."""
    planned = snapshot.plan
    spec = planned.spec
    stages: list[StageStatus] = []
    for stage in planned.stages:
        stages.append(_stage_status(snapshot, planned, stage, {s.stage: s for s in stages}))
    return states.run_status(
        stages,
        run=planned.run,
        lang=spec.lang,
        model=names.model_name(spec.model),
        backend="kubernetes",
        storage=spec.storage,
        submitted=snapshot.submitted,
    )


def unreadable(snapshot: Snapshot, error: UnreadableRun) -> RunStatus:
    """The status of a run whose record cannot be read here, from its Jobs alone."""
    return states.run_status(
        [_of_job(job) for job in snapshot.jobs],
        run=snapshot.run,
        lang="",
        model="",
        backend="kubernetes",
        submitted=snapshot.submitted,
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
    snapshot: Snapshot, planned: Plan, stage: Stage, known: dict[str, StageStatus]
) -> StageStatus:
    job = snapshot.job(stage.name)
    if job is None or (snapshot.cancelled and "deletionTimestamp" in job["metadata"]):
        return _without_job(snapshot, planned, stage)
    pods = snapshot.pods_of(job)
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
        return found if not ready else _held(snapshot, job, found)
    return _live(snapshot, job, pods, found)


def _without_job(snapshot: Snapshot, planned: Plan, stage: Stage) -> StageStatus:
    """The status of a stage without a Job: cancelled, removed after its end, or never created."""
    found = StageStatus(stage=stage.name, state=State.STOPPED)
    after = [other for other in planned.stages if stage.name in planned.before(other.name)]
    released = any(
        job is not None and (not job["spec"].get("suspend") or is_done(job))
        for job in (snapshot.job(other.name) for other in after)
    )
    if stage.name in snapshot.stored or released:
        progress = Progress(done=1.0)
        return found.model_copy(update={"state": State.SUCCEEDED, "progress": progress})
    if snapshot.cancelled:
        return found.model_copy(update={"state": State.CANCELLED, "reason": "cancelled"})
    reason = "its Job is missing; submit the run again to create it"
    if snapshot.now - snapshot.submitted >= snapshot.spec.cluster.keep_hours * 3600:
        reason = "its Job was removed some time after its end, and storage has no result from it"
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
    ends = [reasons.ended(pod) for pod in pods if _is_failed(pod)]
    _, reason, code = ends[-1] if ends else ("", "", None)
    if end.get("reason") == "DeadlineExceeded":
        limit = job["spec"].get("activeDeadlineSeconds", 0) / 3600
        reason = f"ended after {limit:g} h, the most that cluster.deadline_hours allows"
    changes = {
        "state": State.FAILED,
        "reason": reason or end.get("message", "failed"),
        "exit_code": reasons.exit_code(end) if code is None else code,
        "ended": reasons.seconds(end.get("lastTransitionTime")),
    }
    return found.model_copy(update=changes)


def _held(snapshot: Snapshot, job: Object, found: StageStatus) -> StageStatus:
    """The status of a Job that could run but is suspended: in a queue, or by hand."""
    reason = "suspended; submit the run again to continue"
    if names.QUEUE_LABEL in job["metadata"]["labels"]:
        reason = _queue_reason(snapshot, job)
    return found.model_copy(update={"state": State.QUEUED, "reason": reason})


def _queue_reason(snapshot: Snapshot, job: Object) -> str:
    queue = job["metadata"]["labels"][names.QUEUE_LABEL]
    uid = job["metadata"]["uid"]
    for workload in snapshot.workloads:
        metadata = workload["metadata"]
        if not any(owner["uid"] == uid for owner in metadata.get("ownerReferences", ())):
            continue
        if (place := snapshot.positions.get(metadata["name"])) is not None:
            return f"in queue {queue}, {place} before it"
        for each in workload.get("status", {}).get("conditions") or ():
            if each["type"] == "QuotaReserved" and each["status"] == "False":
                return f"in queue {queue}: {' '.join(each.get('message', '').split())[:200]}"
    return f"in queue {queue}"


def _live(snapshot: Snapshot, job: Object, pods: list[Object], found: StageStatus) -> StageStatus:
    current = next((pod for pod in reversed(pods) if _is_live(pod)), None)
    if current is not None:
        if {"running", "terminated"} & reasons.container(current).keys():
            reason = _last_failure(job, pods)
            return found.model_copy(update={"state": State.RUNNING, "reason": reason})
        reason, blocked = reasons.waiting(current, snapshot.events)
        state = State.STARTING if current["spec"].get("nodeName") else State.QUEUED
        return found.model_copy(update={"state": state, "reason": reason, "blocked": blocked})
    if _is_ending(job, pods):
        return found.model_copy(update={"state": State.RUNNING})
    begun = max(snapshot.submitted, found.started or 0.0)
    refusal = reasons.latest(snapshot.events, "FailedCreate", job["metadata"]["name"], begun - 1)
    if refusal:
        changes = {"state": State.QUEUED, "reason": reasons.refused(refusal), "blocked": True}
        return found.model_copy(update=changes)
    if job.get("status", {}).get("active"):
        # Its pod is not pending, so a list of all runs did not ask for it.
        return found.model_copy(update={"state": State.RUNNING})
    reason = _failed_before(job)
    if pods:
        _, message, code = reasons.ended(pods[-1])
        reason = f"{reason}: {message}" if reason else message
        found = found.model_copy(update={"exit_code": code})
    elif snapshot.brief and not reason and _lacks_a_pod(snapshot, job):
        reason = "has no pod; see `jobrunner status RUN`"
    return found.model_copy(update={"state": State.QUEUED, "reason": reason})


def _last_failure(job: Object, pods: list[Object]) -> str:
    """Why the attempt before failed, while the next one runs; empty for the first."""
    failed = [pod for pod in pods if _is_failed(pod)]
    count, most = job.get("status", {}).get("failed", 0), job["spec"].get("backoffLimit", 0) + 1
    if not failed or not count:
        return ""
    _, reason, _ = reasons.ended(failed[-1])
    return f"attempt {count} of {most} failed: {reason}" if reason else ""


def _failed_before(job: Object) -> str:
    failed, most = job.get("status", {}).get("failed", 0), job["spec"].get("backoffLimit", 0) + 1
    return f"attempt {failed} of {most} failed and is repeated" if failed else ""


def _lacks_a_pod(snapshot: Snapshot, job: Object) -> bool:
    """True if an unsuspended Job has had no pod for longer than is normal."""
    status = job.get("status", {})
    begun = reasons.seconds(status.get("startTime"))
    waited = snapshot.now - begun if begun else 0.0
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
    details = (job["metadata"].get("annotations") or {}).get(names.DETAILS_ANNOTATION, "{}")
    try:
        return Progress.model_validate_json(details)
    except ValidationError:
        return Progress()
