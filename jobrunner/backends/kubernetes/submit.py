"""Makes the objects of a run, or what is missing of them. Every step may be repeated."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

from jobrunner.backends.base import Outcome
from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused
from jobrunner.backends.kubernetes.create import Changed, create_owned, rehearse
from jobrunner.backends.kubernetes.delete import until_gone
from jobrunner.backends.kubernetes.status import SPEC_FILE, Recorded, is_done, run_status
from jobrunner.chart import manifests
from jobrunner.errors import UsageError
from jobrunner.spec import RunSpec, names
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.status import RunStatus, State

# Seconds after a submit in which objects that are missing may still be made by it.
SECONDS_TO_MAKE = 30.0


def submit(
    cluster: Cluster, asked: Plan, recorded: Recorded | None, command: Sequence[str] = ()
) -> Outcome:
    """Makes a run, goes on with it, or finds that it is there.

    Args:
        cluster: where.
        asked: what the user wants.
        recorded: the run as it is there.
        command: the program of a stage, in place of the image's.

    Raises:
        Changed: look again and repeat.
        UsageError: the run goes on with another storage.
        ClusterError: the cluster refuses, with its reason; nothing was made if it refuses the
            objects as such.
    """
    if recorded is None:
        objects = _objects(asked, command)
        rehearse(cluster, objects)
        owner = _create_owner(cluster, objects[0])
        create_owned(cluster, owner, objects[1:])
        return "created"
    status = run_status(recorded)
    planned = plans.plan(merged(asked.spec, recorded, status))
    stale = _stale(recorded, planned, status)
    missing = [s.name for s in planned.stages if _is_missing(recorded, s.name, stale, status)]
    objects = _objects(planned, command)
    jobs = [each for each in objects[1:] if each["kind"] != "Job" or _stage(each) in missing]
    jobs = [_held(each, _waits(recorded, planned, each, missing)) for each in jobs]
    others = _is_being_made(recorded, planned, stale)
    if missing:
        rehearse(cluster, jobs)
        owner = recorded.config_map if others else _update_owner(cluster, recorded, objects[0])
        for name in stale:
            _remove(cluster, recorded.job(name))
        create_owned(cluster, owner, jobs)
        _tell_languages(cluster, recorded, planned, stale)
    resumed = _release(cluster, planned)
    return "continued" if (missing or resumed) and not others else "adopted"


def merged(asked: RunSpec, recorded: Recorded, status: RunStatus) -> RunSpec:
    """The spec to go on with when a run is submitted that is there already.

    A live run keeps its options and gets the new languages. An ended one takes the new options,
    and keeps its evaluations that succeeded.

    Raises:
        UsageError: a live run has another storage.
    """
    before, live = recorded.spec, not status.state.ended
    if live and before.storage != asked.storage:
        raise UsageError(
            f"{status.run} goes on with the storage {before.storage}.",
            hint=f"Use that, or `jobrunner cancel {status.run}` first.",
        )
    done = {stage.stage for stage in status.stages if stage.state is State.SUCCEEDED}
    kept = [
        stage.language
        for stage in recorded.plan.stages
        if stage.language and (live or stage.name in done)
    ]
    base = before if live else asked
    wanted = tuple(dict.fromkeys((*kept, *asked.evaluation_languages)))
    if wanted == base.evaluation_languages:
        return base
    evaluate = base.evaluate.model_copy(update={"languages": wanted})
    return base.model_copy(update={"evaluate": evaluate})


def _stale(recorded: Recorded, planned: Plan, status: RunStatus) -> list[str]:
    """Stages whose Jobs are there and must be made anew, because a Job cannot be changed."""
    failed = {stage.stage for stage in status.stages if stage.state is State.FAILED}
    done = {stage.stage for stage in status.stages if stage.state is State.SUCCEEDED}
    before = recorded.spec
    placed = before.resources != planned.spec.resources or before.cluster != planned.spec.cluster
    speech = set(_languages(planned.spec)) <= set(_languages(before))
    found = []
    for stage in planned.stages:
        if recorded.job(stage.name) is None:
            continue
        other = placed and stage.name not in done
        unprepared = stage.kind == "prepare" and not speech
        if stage.name in failed or other or unprepared:
            found.append(stage.name)
    return found


def _is_missing(recorded: Recorded, stage: str, stale: list[str], status: RunStatus) -> bool:
    if stage in stale:
        return True
    known = {each.stage: each.state for each in status.stages}
    if known.get(stage) is State.SUCCEEDED:
        return False
    job = recorded.job(stage)
    return job is None or "deletionTimestamp" in job["metadata"]


def _is_being_made(recorded: Recorded, planned: Plan, stale: list[str]) -> bool:
    """True if another submit of the same has begun and may not be through."""
    same = planned.spec == recorded.spec and not stale and not recorded.cancelled
    return same and time.time() - recorded.submitted < SECONDS_TO_MAKE


def _remove(cluster: Cluster, job: Object | None) -> None:
    if job is not None:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        cluster.delete("Job", _namespace(job), name, uid=uid, propagation="Foreground")
        until_gone(cluster, "Job", _namespace(job), name, uid=uid)


def _languages(spec: RunSpec) -> tuple[str, ...]:
    """Languages whose speech `prepare` brings."""
    return (spec.lang, *spec.evaluation_languages)


def _waits(recorded: Recorded, planned: Plan, job: Object, missing: list[str]) -> bool:
    """True if a stage before this one has still to be done."""
    if job["kind"] != "Job":
        return False
    for name in planned.before(_stage(job)):
        there = recorded.job(name)
        # A Job that is neither there nor to be made was removed some time after its success.
        if name in missing or (there is not None and not is_done(there)):
            return True
    return False


def _held(job: Object, waits: bool) -> Object:
    """The object with its Job held back, or not."""
    if job["kind"] != "Job" or waits:
        return job
    free = copy.deepcopy(job)
    if names.QUEUE_LABEL in free["metadata"]["labels"]:
        free["metadata"].get("annotations", {}).pop(names.GATE_ANNOTATION, None)
    else:
        free["spec"]["suspend"] = False
    return free


def _objects(planned: Plan, command: Sequence[str]) -> list[Object]:
    objects = manifests.manifests(planned)
    for each in objects:
        if command and each["kind"] == "Job":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container["command"] = list(command)
    return objects


def _create_owner(cluster: Cluster, config_map: Object) -> Object:
    try:
        return cluster.create(_annotated(config_map))
    except Refused as error:
        if error.reason == "AlreadyExists":
            raise Changed(str(error)) from None
        raise


def _update_owner(cluster: Cluster, recorded: Recorded, config_map: Object) -> Object:
    there = recorded.config_map
    changed = copy.deepcopy(there)
    changed["kind"], changed["apiVersion"] = "ConfigMap", "v1"
    changed["data"] = {SPEC_FILE: config_map["data"][SPEC_FILE]}
    annotations = changed["metadata"].setdefault("annotations", {})
    annotations.pop(names.CANCELLED_ANNOTATION, None)
    annotations[names.SUBMITTED_ANNOTATION] = f"{time.time():.6f}"
    try:
        return cluster.replace(changed)
    except Refused as error:
        if error.status in {404, 409}:
            raise Changed(str(error)) from None
        raise


def _annotated(config_map: Object) -> Object:
    told = copy.deepcopy(config_map)
    told["metadata"]["annotations"] = {names.SUBMITTED_ANNOTATION: f"{time.time():.6f}"}
    return told


def _tell_languages(cluster: Cluster, recorded: Recorded, planned: Plan, stale: list[str]) -> None:
    """Tells the Jobs that go on about evaluations that were added after they had started."""
    if planned.spec.evaluation_languages == recorded.spec.evaluation_languages:
        return
    told = ",".join(planned.spec.evaluation_languages)
    for stage in planned.stages:
        job = recorded.job(stage.name)
        if job is None or stage.name in stale or not planned.released_by(stage.name):
            continue
        if not reasons.condition(job, "Complete"):
            changes = {"metadata": {"annotations": {names.LANGUAGES_ANNOTATION: told}}}
            cluster.patch("Job", _namespace(job), job["metadata"]["name"], changes)


def _release(cluster: Cluster, planned: Plan) -> bool:
    """Releases what nothing holds back any more; True if there was something.

    A stage that has just ended may have looked before its Job was told of new evaluations. Both
    mark first and look then, so at least one of the two sees what the other has done.
    """
    namespace = planned.spec.cluster.namespace
    found, _ = cluster.list("Job", namespace, labels=f"{names.RUN_LABEL}={planned.run}")
    jobs = {_stage(each): each for each in found}
    released = False
    for stage in planned.stages:
        job = jobs.get(stage.name)
        before = [jobs[name] for name in planned.before(stage.name) if name in jobs]
        if job is None or is_done(job) or not all(map(is_done, before)):
            continue
        queued = names.QUEUE_LABEL in job["metadata"]["labels"]
        gated = names.GATE_ANNOTATION in (job["metadata"].get("annotations") or {})
        if queued and gated:
            changes: Object = {"metadata": {"annotations": {names.GATE_ANNOTATION: None}}}
        elif not queued and job["spec"].get("suspend"):
            changes = {"spec": {"suspend": False}}
        else:
            continue
        cluster.patch("Job", namespace, job["metadata"]["name"], changes)
        released = True
    return released


def _stage(job: Object) -> str:
    return str(job["metadata"]["labels"][names.STAGE_LABEL])


def _namespace(found: Object) -> str:
    return str(found["metadata"]["namespace"])
