"""Releases the stages that wait for a stage, once it is done.

Later stages are created with the run, suspended, so a stage needs no right to create anything. It
first marks its own Job as done, then looks at the others. So when two stages end at the same time,
the later one sees both marks. Releasing twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from jobrunner.chart.jobs import Object, is_done, release_patch
from jobrunner.core.attempt.jobs import Away, Jobs
from jobrunner.spec import names
from jobrunner.spec.plan import plan
from jobrunner.spec.record import RunRecord

# Seconds that the API server may be away: an upgrade of a control plane takes minutes.
PATIENCE = 1800.0
# Seconds between tries: at first and at most.
WAITS = (1.0, 15.0)


def release(
    jobs: Jobs,
    record: RunRecord,
    stage: str,
    log: Callable[[str], None],
    *,
    patience: float = PATIENCE,
) -> None:
    """Marks a stage as done and releases the stages whose earlier stages are all done.

    Args:
        jobs: the run's Jobs.
        record: the run, as it was when the pod started.
        stage: the stage that is done.
        log: logs one line for people.
        patience: seconds that the API server may be away.

    Raises:
        Away: the API server was away for longer.
        ClusterError: the API server refuses.
    """

    def log_failure(attempt: object) -> None:
        error = getattr(getattr(attempt, "outcome", None), "exception", lambda: None)()
        log(f"cannot release the next stage yet: {error}")

    for attempt in Retrying(
        retry=retry_if_exception_type(Away),
        wait=wait_exponential_jitter(initial=WAITS[0], max=WAITS[1]),
        stop=stop_after_delay(patience),
        before_sleep=log_failure,
        reraise=True,
    ):
        with attempt:
            _release(jobs, record, stage)


def _release(jobs: Jobs, record: RunRecord, stage: str) -> None:
    own = jobs.patch(stage, {"metadata": {"annotations": {names.DONE_ANNOTATION: "true"}}})
    planned = plan(_with_languages(record, own))
    waiting = {other.name for other in planned.stages if stage in planned.before(other.name)}
    needed = {name for other in waiting for name in planned.before(other)} - {stage}
    done = {stage} | {name for name in needed if _is_done(jobs.get(name))}
    for other in planned.releasable(done):
        job = jobs.get(other.name) if other.name in waiting else None
        if job is not None and (changes := release_patch(job)):
            jobs.patch(other.name, changes)


def _with_languages(record: RunRecord, own: Object | None) -> RunRecord:
    """The run with the evaluations that were added while this stage was running."""
    annotations = (own or {}).get("metadata", {}).get("annotations") or {}
    added = annotations.get(names.LANGUAGES_ANNOTATION)
    return record.with_spec(record.spec.evaluating(tuple(added.split(",")))) if added else record


def _is_done(job: Object | None) -> bool:
    # A Job that is gone was removed some time after its success, or the run is being deleted.
    return job is None or is_done(job)
