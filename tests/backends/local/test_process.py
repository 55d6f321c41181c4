"""Stages as processes: they end with their supervisor, in time, and say how."""

from __future__ import annotations

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.states import State
from tests.harness.local import COMMAND, LocalHarness, alive, kill
from tests.harness.waiting import until

LOST = "the supervisor ended; submit the run again to continue"


def test_a_killed_supervisor_takes_its_stage_along_and_the_run_is_stopped(
    harness: LocalHarness,
) -> None:
    run = harness.held_in_train()

    kill(harness.supervisor(run))

    status = harness.backend.status(run)
    assert (status.state, status.reason) == (State.STOPPED, LOST)
    until(lambda: not alive(harness.begun("train").pid), "the stage dies too")


def test_a_stage_that_does_not_stop_is_killed_after_its_grace(harness: LocalHarness) -> None:
    (harness.control / "deaf-train").touch()
    backend = LocalBackend(harness.state, command=COMMAND, grace_seconds=0.2)
    harness.hold("train")
    plan = harness.plan()
    backend.submit(plan)
    pid = harness.begun("train").pid

    backend.cancel(plan.run)

    assert not alive(pid)
    assert backend.status(plan.run).state is State.CANCELLED


def test_a_program_that_cannot_be_started_is_told(harness: LocalHarness) -> None:
    backend = LocalBackend(harness.state, command=("/no/such/program",), retry_seconds=0.01)
    plan = harness.plan(cluster={"attempts": 2})
    backend.submit(plan)

    *_, status = backend.watch(plan.run, timeout=30)

    assert status.state is State.FAILED
    assert "/no/such/program: No such file or directory" in status.reason
