"""The status of a run as a function of what a real API server had answered (recorded/*.json)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.status import run_status, unreadable
from jobrunner.errors import UnreadableRun
from jobrunner.spec import names
from jobrunner.states import RunStatus, State
from tests.harness.newer import MADE_BY, UNKNOWN, UNREADABLE
from tests.harness.recorded import NAMES, made_by_newer, recorded

# Name of the record → state of the run, its first stage that is not over, and the reason.
CASES = {
    "image-typo": (
        *(State.STARTING, "prepare"),
        "the image localhost/jobrunner-typo:1 cannot be pulled: connect: connection refused",
    ),
    "missing-secret": (
        *(State.STARTING, "prepare"),
        'the container cannot start: secret "missing" not found',
    ),
    "unschedulable": (State.QUEUED, "prepare", "no node of 1 fits: 1 Insufficient cpu"),
    "no-account": (
        *(State.QUEUED, "prepare"),
        "the cluster refuses its pod: error looking up service account record-9310c1/nobody: "
        'serviceaccount "nobody" not found',
    ),
    "quota": (
        *(State.QUEUED, "prepare"),
        "the cluster refuses its pod: exceeded quota: small, requested: requests.cpu=2, "
        "used: requests.cpu=400100m, limited: requests.cpu=1",
    ),
    "running": (State.RUNNING, "prepare", ""),
    "evicted": (State.QUEUED, "prepare", "evicted: Eviction API: evicting"),
    "cancelled": (State.CANCELLED, "prepare", "cancelled"),
    "succeeded": (State.SUCCEEDED, "evaluate-el", ""),
    "retried": (
        *(State.QUEUED, "train"),
        "attempt 1 of 2 failed and is repeated: train cannot go on, try 1.",
    ),
    "failed": (State.FAILED, "train", "train cannot go on, try 2."),
}
BLOCKED = {"image-typo", "missing-secret", "unschedulable", "no-account", "quota"}


@pytest.mark.parametrize("name", NAMES)
def test_the_state_and_the_reason_of_a_run_follow_from_its_objects(name: str) -> None:
    status = run_status(recorded(name))

    assert status.current
    assert (status.state, status.current.stage, status.reason) == CASES[name]
    assert status.current.blocked == (name in BLOCKED)
    assert (status.lang, status.model, status.backend) == ("el", "whisper-tiny", "kubernetes")
    assert [stage.stage for stage in status.stages] == ["prepare", "train", "evaluate-el"]


def listed(name: str, **changes: Any) -> RunStatus:
    """As `jobrunner list` tells it, which asks for no events and no ended pods."""
    waiting = [pod for pod in recorded(name).pods if pod["status"]["phase"] == "Pending"]
    return run_status(recorded(name, **{"events": [], "pods": waiting, "brief": True, **changes}))


@pytest.mark.parametrize("name", NAMES)
def test_a_list_without_events_and_ended_pods_tells_the_same_state(name: str) -> None:
    full = recorded(name)

    status = listed(name)

    states = [stage.state for stage in run_status(full).stages]
    assert [stage.state for stage in status.stages] == states


@pytest.mark.parametrize("name", ["quota", "no-account"])
def test_a_list_tells_that_a_stage_gets_no_pod_and_where_the_reason_is(name: str) -> None:
    begun = run_status(recorded(name)).stages[0].started
    assert begun
    assert listed(name, now=begun + 1).reason == ""
    assert listed(name, now=begun + 60).reason == "has no pod; see `jobrunner status RUN`"


def test_a_list_tells_of_an_attempt_that_failed_and_of_none_that_is_ending() -> None:
    later = recorded("retried").now + 60
    assert listed("retried", now=later).reason == "attempt 1 of 2 failed and is repeated"
    assert listed("evicted", now=later).reason == ""


def test_progress_is_what_the_stage_wrote_on_its_job() -> None:
    stage = run_status(recorded("running")).stages[0]

    assert (stage.progress.done, stage.progress.message) == (0.5, "working")
    assert (stage.progress.step, stage.progress.steps) == (50, 100)
    assert stage.started
    assert stage.attempts == 1


def test_a_stage_runs_until_its_job_is_complete() -> None:
    before = recorded("running")
    pod, jobs = copy.deepcopy(before.pods[0]), copy.deepcopy(before.jobs)
    (container,) = pod["status"]["containerStatuses"]
    container["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    stopped = run_status(recorded("running", pods=[copy.deepcopy(pod)]))

    pod["status"]["phase"] = "Succeeded"
    for job in jobs:
        if job["status"].get("active"):
            job["status"] |= {"active": 0, "ready": 0, "succeeded": 1}
    ended = run_status(recorded("running", pods=[pod], jobs=jobs))
    listed = run_status(recorded("running", pods=[], jobs=jobs))

    assert {stopped.state, ended.state, listed.state} == {State.RUNNING}


def test_restarts_are_counted_by_cause() -> None:
    assert run_status(recorded("evicted")).stages[0].restarts == {"evicted": 1}
    failed = run_status(recorded("failed")).stages[1]
    assert (failed.restarts, failed.attempts, failed.exit_code) == ({"failed": 2}, 2, 1)


def test_a_job_removed_after_its_end_leaves_a_stage_that_succeeded() -> None:
    found = recorded("succeeded")
    later = [j for j in found.jobs if j["metadata"]["labels"][names.STAGE_LABEL] != "train"]

    states = [stage.state for stage in run_status(recorded("succeeded", jobs=later)).stages]

    assert states == [State.SUCCEEDED] * 3


def test_jobs_that_were_never_made_are_told_apart_from_removed_ones() -> None:
    found = recorded("succeeded")
    fresh = run_status(recorded("succeeded", jobs=[], now=found.submitted + 60))
    assert (fresh.state, fresh.reason) == (
        *(State.STOPPED,),
        "its Job is missing; submit the run again to create it",
    )
    old = {"jobs": [], "pods": [], "now": found.submitted + 100 * 3600}
    assert "storage has no result" in run_status(recorded("succeeded", **old)).reason
    stored = frozenset(("prepare", "train", "evaluate-el"))
    assert run_status(recorded("succeeded", **old, stored=stored)).state is State.SUCCEEDED


def test_a_job_that_somebody_suspended_says_so() -> None:
    jobs = copy.deepcopy(list(recorded("running").jobs))
    jobs[0]["spec"]["suspend"] = True
    for job in jobs:
        if job["metadata"]["labels"][names.STAGE_LABEL] == "prepare":
            job["spec"]["suspend"] = True

    stage = run_status(recorded("running", jobs=jobs, pods=[])).stages[0]

    assert (stage.state, stage.reason) == (
        State.QUEUED,
        "suspended; submit the run again to continue",
    )


def test_a_job_in_a_queue_tells_its_place() -> None:
    jobs = copy.deepcopy(list(recorded("running").jobs))
    (job,) = [j for j in jobs if j["metadata"]["labels"][names.STAGE_LABEL] == "prepare"]
    job["metadata"]["labels"][names.QUEUE_LABEL] = "team"
    job["spec"]["suspend"] = True
    message = "couldn't assign flavors: insufficient quota for nvidia.com/gpu"
    workload = {
        "metadata": {"name": "job-a", "ownerReferences": [{"uid": job["metadata"]["uid"]}]},
        "status": {
            "conditions": [{"type": "QuotaReserved", "status": "False", "message": message}]
        },
    }
    waiting = {"jobs": jobs, "pods": [], "workloads": [workload]}

    told = run_status(recorded("running", **waiting)).stages[0]
    assert (told.state, told.blocked) == (State.QUEUED, False)
    assert told.reason == f"in queue team: {message}"
    placed = run_status(recorded("running", **waiting, positions={"job-a": 3}))
    assert placed.reason == "in queue team, 3 before it"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "0/5 nodes are available: 2 Insufficient nvidia.com/gpu, 3 node(s) didn't match "
            "Pod's node affinity/selector. preemption: 0/5 nodes are available: 5 Preemption "
            "is not helpful for scheduling.",
            "no node of 5 fits: 2 Insufficient nvidia.com/gpu, 3 node(s) didn't match Pod's "
            "node affinity/selector",
        ),
        ("", "no node fits"),
    ],
)
def test_the_schedulers_message_is_cut_to_what_one_can_mend(message: str, told: str) -> None:
    assert reasons.unschedulable(message) == told


def test_the_cause_of_a_death_is_what_the_node_and_the_control_plane_say() -> None:
    pod = next(p for p in recorded("failed").pods if p["status"]["phase"] == "Failed")
    (state,) = [each["state"] for each in pod["status"]["containerStatuses"]]
    state["terminated"].update(reason="OOMKilled", exitCode=137, message="")
    assert reasons.ended(pod) == (
        *("out of memory", "killed: its memory (256Mi) was not enough"),
        137,
    )
    state["terminated"].update(reason="Error")
    assert reasons.ended(pod)[:2] == ("killed", "killed by signal 9")
    pod["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    ]
    assert reasons.ended(pod)[:2] == ("preempted", "preempted")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_version_1_keeps_the_id_that_its_objects_have(name: str) -> None:
    found = recorded(name)
    assert found.record.run == found.run
    assert found.record.spec.version == 1
    assert found.record.unknown == ()


# What the Jobs alone tell of a run: its state, and that of each Job.
JOBS_ALONE = {
    "running": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
}


@pytest.mark.parametrize("name", JOBS_ALONE)
@pytest.mark.parametrize("change", UNREADABLE)
def test_of_a_run_that_only_a_newer_client_can_read_its_jobs_tell_the_state(
    name: str, change: str
) -> None:
    found = made_by_newer(name, UNREADABLE[change])
    with pytest.raises(UnreadableRun) as caught:
        run_status(found)

    status = unreadable(found, caught.value)

    assert (status.run, status.state, status.reason) == (found.run, JOBS_ALONE[name], MADE_BY)
    assert (status.lang, status.model, status.backend) == ("", "", "kubernetes")
    assert {stage.stage for stage in status.stages} == {"prepare", "train", "evaluate-el"}
    assert status.submitted == found.submitted


def test_progress_of_a_run_that_cannot_be_read_is_still_what_its_job_says() -> None:
    found = made_by_newer("running", {"version": 3})
    status = unreadable(found, UnreadableRun("it cannot be read"))
    progress = {stage.stage: stage.progress for stage in status.stages}
    assert (progress["prepare"].step, progress["prepare"].steps) == (50, 100)


@pytest.mark.parametrize("name", NAMES)
def test_fields_of_a_newer_client_leave_the_status_what_it_is(name: str) -> None:
    assert run_status(made_by_newer(name, UNKNOWN)) == run_status(recorded(name))


def test_the_reason_of_the_last_failure_shows_while_the_next_attempt_runs() -> None:
    found = recorded("retried")
    failed = next(pod for pod in found.pods if pod["status"]["phase"] == "Failed")
    running = copy.deepcopy(failed)
    running["metadata"]["creationTimestamp"] = "2030-01-01T00:00:00Z"
    [container] = running["status"]["containerStatuses"]
    container["state"] = {"running": {"startedAt": "2030-01-01T00:00:01Z"}}
    running["status"]["phase"] = "Running"
    status = run_status(recorded("retried", pods=[*found.pods, running]))
    assert status.state is State.RUNNING
    assert status.reason == "attempt 1 of 2 failed: train cannot go on, try 1."
