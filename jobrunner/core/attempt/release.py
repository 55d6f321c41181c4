"""A stage that is done releases those that waited for it.

Later stages are made with the run, suspended; so a stage needs no right to create anything. It
marks its own Job as done first and looks at the others then. Of two stages that end at the same
time the later one therefore sees both marks, and releasing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from jobrunner.core.attempt.jobs import Away, Jobs, Object
from jobrunner.spec import RunSpec, names
from jobrunner.spec.plan import Plan, plan

# Seconds that the API server may be away: an upgrade of a control plane takes minutes.
PATIENCE = 1800.0
# Seconds between tries: at first and at most.
WAITS = (1.0, 15.0)


def release(
    jobs: Jobs,
    spec: RunSpec,
    stage: str,
    log: Callable[[str], None],
    *,
    patience: float = PATIENCE,
) -> None:
    """Marks a stage as done and releases what nothing holds back any more.

    Args:
        jobs: the run's.
        spec: the run, as the pod was started with it.
        stage: which is done.
        log: one line for people.
        patience: seconds that the API server may be away.

    Raises:
        Away: it was away for longer.
        ClusterError: the API server refuses.
    """

    def told(attempt: object) -> None:
        error = getattr(getattr(attempt, "outcome", None), "exception", lambda: None)()
        log(f"cannot release the next stage yet: {error}")

    for attempt in Retrying(
        retry=retry_if_exception_type(Away),
        wait=wait_exponential_jitter(initial=WAITS[0], max=WAITS[1]),
        stop=stop_after_delay(patience),
        before_sleep=told,
        reraise=True,
    ):
        with attempt:
            _release(jobs, spec, stage)


def _release(jobs: Jobs, spec: RunSpec, stage: str) -> None:
    own = jobs.patch(stage, {"metadata": {"annotations": {names.DONE_ANNOTATION: "true"}}})
    planned = plan(_with_languages(spec, own))
    for other in planned.stages:
        if stage in planned.before(other.name) and _is_free(jobs, planned, other.name, stage):
            changes: Object = {"spec": {"suspend": False}}
            if spec.cluster.queue:
                changes = {"metadata": {"annotations": {names.GATE_ANNOTATION: None}}}
            jobs.patch(other.name, changes)


def _with_languages(spec: RunSpec, own: Object | None) -> RunSpec:
    """The spec with the evaluations that were added while this stage was working."""
    annotations = (own or {}).get("metadata", {}).get("annotations") or {}
    told = annotations.get(names.LANGUAGES_ANNOTATION)
    if not told:
        return spec
    evaluate = spec.evaluate.model_copy(update={"languages": tuple(told.split(","))})
    return spec.model_copy(update={"evaluate": evaluate})


def _is_free(jobs: Jobs, planned: Plan, other: str, stage: str) -> bool:
    """True if all stages before `other` are done, `stage` among them."""
    return all(_is_done(jobs.get(name)) for name in planned.before(other) - {stage})


def _is_done(job: Object | None) -> bool:
    # A Job that is gone was removed some time after its success, or the run is being deleted.
    if job is None or names.DONE_ANNOTATION in (job["metadata"].get("annotations") or {}):
        return True
    conditions = job.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)
