"""Creates the objects of a run, or those that are missing. Every step may be repeated."""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Sequence

from jobrunner.backends import resubmit
from jobrunner.backends.base import Outcome
from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused
from jobrunner.backends.kubernetes.create import Changed, create_owned, dry_run
from jobrunner.backends.kubernetes.delete import until_gone
from jobrunner.backends.kubernetes.snapshot import SPEC_FILE, Snapshot
from jobrunner.backends.kubernetes.status import run_status
from jobrunner.backends.resubmit import Look, unseen
from jobrunner.chart import manifests
from jobrunner.chart.jobs import condition, is_done, release_patch
from jobrunner.spec import names
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord
from jobrunner.states import RunStatus, State

# Seconds after a submit in which it may still create missing objects.
SECONDS_TO_MAKE = 30.0


def submit(
    cluster: Cluster,
    asked: Plan,
    snapshot: Snapshot | None,
    command: Sequence[str] = (),
    look: Look = unseen,
) -> Outcome:
    """Creates a run, continues it, or finds that it already exists.

    Args:
        cluster: the cluster.
        asked: plan of the submitted run.
        snapshot: the run in the cluster; None if it does not exist.
        command: the program of a stage, instead of the image's.
        look: see `Backend.submit`.

    Raises:
        Changed: the run changed; read it again and repeat.
        UsageError: the run has another storage, or the id belongs to another run.
        ClusterError: the cluster refuses, with its reason; if it refuses an object as such,
            nothing was created.
    """
    if snapshot is None:
        objects = _objects(asked, command)
        dry_run(cluster, objects)
        owner = _create_owner(cluster, objects[0])
        create_owned(cluster, owner, objects[1:])
        return "created"
    status = run_status(snapshot)
    live = not status.state.ended
    resubmit.check(asked.record, snapshot.record, live=live)
    done = {each.stage for each in status.stages if each.state is State.SUCCEEDED}
    planned = plans.plan(resubmit.merged(asked.record, snapshot.plan, done=done, live=live))
    again = _again(snapshot, planned, status, () if live or not done else look())
    stale = _stale(snapshot, planned, status, again)
    missing = [
        s.name
        for s in planned.stages
        if s.name in again or _is_missing(snapshot, s.name, stale, status)
    ]
    objects = _objects(planned, command)
    jobs = [each for each in objects[1:] if each["kind"] != "Job" or _stage(each) in missing]
    jobs = [_held(each, _waits(snapshot, planned, each, missing)) for each in jobs]
    others = _is_being_made(snapshot, planned, stale)
    if missing:
        dry_run(cluster, jobs)
        owner = snapshot.config_map if others else _update_owner(cluster, snapshot, objects[0])
        for name in stale:
            _remove(cluster, snapshot.job(name))
        create_owned(cluster, owner, jobs)
        _add_languages(cluster, snapshot, planned, stale)
    resumed = _release(cluster, planned)
    return "continued" if (missing or resumed) and not others else "adopted"


def _again(snapshot: Snapshot, planned: Plan, status: RunStatus, lost: Collection[str]) -> set[str]:
    """The stages that succeeded and must run again."""
    before, now = snapshot.record, planned.record
    return resubmit.again(
        planned,
        done={stage.stage for stage in status.stages if stage.state is State.SUCCEEDED},
        failed={s.stage: s.exit_code for s in status.stages if s.state is State.FAILED},
        prepared=before.spec.languages,
        lost=lost,
        changed=_program(now) != _program(before),
    )


def _stale(
    snapshot: Snapshot, planned: Plan, status: RunStatus, again: Collection[str]
) -> list[str]:
    """Stages whose Jobs exist but must be replaced, because a Job cannot be changed."""
    failed = {stage.stage for stage in status.stages if stage.state is State.FAILED}
    done = {stage.stage for stage in status.stages if stage.state is State.SUCCEEDED}
    before, now = snapshot.record, planned.record
    placed = before.spec.resources != now.spec.resources or before.spec.cluster != now.spec.cluster
    more = not set(now.spec.languages) <= set(before.spec.languages)
    found = []
    for stage in planned.stages:
        if snapshot.job(stage.name) is None:
            continue
        # A `prepare` that has not ended knows the languages of its own pod only.
        other = (placed or (more and stage.kind == "prepare")) and stage.name not in done
        if stage.name in failed or other or stage.name in again:
            found.append(stage.name)
    return found


def _program(record: RunRecord) -> tuple[str, str]:
    """Image and client of a run: they decide whether a pod can read its record."""
    return record.spec.cluster.image, record.client


def _is_missing(snapshot: Snapshot, stage: str, stale: list[str], status: RunStatus) -> bool:
    if stage in stale:
        return True
    known = {each.stage: each.state for each in status.stages}
    if known.get(stage) is State.SUCCEEDED:
        return False
    job = snapshot.job(stage)
    return job is None or "deletionTimestamp" in job["metadata"]


def _is_being_made(snapshot: Snapshot, planned: Plan, stale: list[str]) -> bool:
    """True if another submit of the same run has begun and may not have finished."""
    same = planned.spec == snapshot.spec and not stale and not snapshot.cancelled
    return same and time.time() - snapshot.submitted < SECONDS_TO_MAKE


def _remove(cluster: Cluster, job: Object | None) -> None:
    if job is not None:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        cluster.delete("Job", _namespace(job), name, uid=uid, propagation="Foreground")
        until_gone(cluster, "Job", _namespace(job), name, uid=uid)


def _waits(snapshot: Snapshot, planned: Plan, job: Object, missing: list[str]) -> bool:
    """True if a stage before this one is not done yet."""
    if job["kind"] != "Job":
        return False
    for name in planned.before(_stage(job)):
        job_before = snapshot.job(name)
        # A Job that neither exists nor is missing was removed some time after its success.
        if name in missing or (job_before is not None and not is_done(job_before)):
            return True
    return False


def _held(job: Object, waits: bool) -> Object:
    """The object; a Job that waits for no other stage is made to start at once."""
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


def _update_owner(cluster: Cluster, snapshot: Snapshot, config_map: Object) -> Object:
    changed = copy.deepcopy(snapshot.config_map)
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
    annotated = copy.deepcopy(config_map)
    annotated["metadata"]["annotations"] = {names.SUBMITTED_ANNOTATION: f"{time.time():.6f}"}
    return annotated


def _add_languages(cluster: Cluster, snapshot: Snapshot, planned: Plan, stale: list[str]) -> None:
    """Writes added languages on the existing Jobs that will release their evaluations."""
    languages = planned.spec.evaluation_languages
    if languages == snapshot.spec.evaluation_languages:
        return
    changes = {"metadata": {"annotations": {names.LANGUAGES_ANNOTATION: ",".join(languages)}}}
    for stage in planned.stages:
        job = snapshot.job(stage.name)
        if job is None or stage.name in stale or not planned.released_by(stage.name):
            continue
        if not condition(job, "Complete"):
            cluster.patch("Job", _namespace(job), job["metadata"]["name"], changes)


def _release(cluster: Cluster, planned: Plan) -> bool:
    """Releases the stages whose earlier stages are all done; True if there was one.

    A stage that has just ended may have looked for stages before the new languages were on its
    Job. Stage and submit both write first and look afterwards, so at least one of them sees what
    the other wrote.
    """
    namespace = planned.spec.cluster.namespace
    found, _ = cluster.list("Job", namespace, labels=f"{names.RUN_LABEL}={planned.run}")
    jobs = {_stage(each): each for each in found}
    # A Job that is gone was removed some time after its success.
    done = {s.name for s in planned.stages if s.name not in jobs or is_done(jobs[s.name])}
    released = False
    for stage in planned.releasable(done):
        job = jobs[stage.name]
        if changes := release_patch(job):
            cluster.patch("Job", namespace, job["metadata"]["name"], changes)
            released = True
    return released


def _stage(job: Object) -> str:
    return str(job["metadata"]["labels"][names.STAGE_LABEL])


def _namespace(found: Object) -> str:
    return str(found["metadata"]["namespace"])
