"""A supervisor takes its run through its stages: whose turn it is, which devices, what failed."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from jobrunner.backends.local.devices import CPU, DeviceQueue, Wait
from jobrunner.spec.plan import Plan
from jobrunner.states import State
from tests.harness.backend import Event, states
from tests.harness.local import LocalHarness, kill
from tests.harness.waiting import until


def _overlaps(events: list[Event]) -> list[tuple[Event, Event]]:
    starts = [event for event in events if event.what == "begins"]
    ends = {event.attempt: event.time for event in events if event.what == "ends"}
    return [(a, b) for a, b in pairwise(starts) if ends[a.attempt] > b.time]


def test_three_runs_take_turns_on_one_cpu_in_the_order_of_their_submits(
    harness: LocalHarness,
) -> None:
    harness.hold("prepare")
    plans = [harness.plan(seed=seed) for seed in range(3)]

    def waits(plan: Plan, behind: str) -> bool:
        return harness.backend.status(plan.run).reason == f"waits for the CPU: {behind}"

    for plan in plans:
        harness.backend.submit(plan)
    until(lambda: waits(plans[1], "1 run before it"), "the second waits")
    until(lambda: waits(plans[2], "2 runs before it"), "the third waits")
    assert harness.backend.status(plans[2].run).state is State.QUEUED

    harness.release("prepare")
    for plan in plans:
        assert harness.ended(plan.run).state is State.SUCCEEDED

    order = [event.run for event in harness.events("begins")]
    assert order == [plan.run for plan in plans for _ in plan.stages]
    assert _overlaps(harness.events()) == []


def test_a_run_has_its_place_in_the_queue_when_its_submit_returns(harness: LocalHarness) -> None:
    queue = DeviceQueue(harness.state / "devices")
    harness.hold("prepare")
    plan = harness.plan()

    harness.backend.submit(plan)

    # Its supervisor needs a moment to start.
    ticket = queue.enter("later", submitted=time.time(), place=0, slots=(CPU,), count=1)
    assert isinstance(queue.take(ticket), Wait)
    harness.begun("prepare")
    assert isinstance(queue.take(ticket), Wait)
    harness.release("prepare")
    queue.leave(ticket)
    assert harness.ended(plan.run).state is State.SUCCEEDED


def test_a_queued_run_can_be_cancelled_and_starts_nothing(harness: LocalHarness) -> None:
    harness.hold("prepare")
    first, second = harness.plan(seed=0), harness.plan(seed=1)
    harness.backend.submit(first)
    harness.begun("prepare")
    harness.backend.submit(second)

    harness.backend.cancel(second.run)

    assert harness.backend.status(second.run).state is State.CANCELLED
    harness.release("prepare")
    harness.ended(first.run)
    assert {event.run for event in harness.events()} == {first.run}


def _give_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A machine with GPUs, as far as `nvidia-smi` tells."""
    program = folder / "nvidia-smi"
    lines = "\\n".join(f"GPU-{number}, NVIDIA A100-SXM4-80GB" for number in range(count))
    program.write_text(f"#!/bin/sh\nprintf '{lines}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_evaluations_run_side_by_side_on_the_gpus_and_each_sees_its_own(
    harness: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_gpus(tmp_path, monkeypatch, 2)
    for language in ("el", "en", "sw"):
        harness.hold(f"evaluate-{language}")
    plan = harness.plan("el", "en", "sw", resources={"gpus": 2})
    harness.backend.submit(plan)

    both = [harness.begun("evaluate-el"), harness.begun("evaluate-en")]

    until(
        lambda: (
            harness.backend.status(plan.run).stages[-1].reason
            == "waits for 1 GPU, behind other stages of this run"
        ),
        "the third waits",
    )
    assert {event.devices for event in both} == {"GPU-0", "GPU-1"}
    assert harness.begun("train").devices == "GPU-0,GPU-1"
    assert harness.begun("prepare").devices == "-"
    for language in ("el", "en", "sw"):
        harness.release(f"evaluate-{language}")
    assert set(states(harness.ended(plan.run)).values()) == {State.SUCCEEDED}


def test_a_run_trains_on_the_gpu_while_another_prepares(
    harness: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_gpus(tmp_path, monkeypatch, 1)
    harness.hold("train")
    first, second = (harness.plan(seed=seed, resources={"gpus": 1}) for seed in range(2))
    harness.backend.submit(first)
    harness.begun("train")

    harness.backend.submit(second)

    harness.begun("prepare", times=2)
    until(
        lambda: harness.backend.status(second.run).reason == "waits for 1 GPU: 1 run before it",
        "the second run waits for the GPU",
    )
    harness.release("train")
    assert harness.ended(second.run).state is State.SUCCEEDED


def test_gpus_that_are_gone_fail_the_stage_at_once(
    harness: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_gpus(tmp_path, monkeypatch, 1)
    plan = harness.plan(resources={"gpus": 2})
    harness.backend.submit(plan)

    status = harness.ended(plan.run)

    assert status.reason.startswith("The run asks for 2 GPUs, but this machine shows 1.")
    assert status.stages[1].exit_code == 67
    assert status.stages[1].attempts == 0


def test_a_killed_stage_is_tried_again(harness: LocalHarness) -> None:
    run = harness.held_in_train()

    kill(harness.begun("train").pid)

    harness.begun("train", times=2)
    reason = until(lambda: harness.backend.status(run).stages[1].state is State.RUNNING)
    assert reason
    told = harness.backend.status(run).reason
    assert told == "attempt 1 of 4 failed: killed by SIGKILL; was there enough memory?"
    harness.release("train")
    assert harness.ended(run).state is State.SUCCEEDED
    assert harness.backend.status(run).reason == ""


def test_a_killed_stage_says_how_it_died(harness: LocalHarness) -> None:
    harness.hold("train")
    plan = harness.plan(cluster={"attempts": 1})
    harness.backend.submit(plan)
    kill(harness.begun("train").pid)

    status = harness.ended(plan.run)

    assert status.reason == "killed by SIGKILL; was there enough memory?"
    assert status.stages[1].exit_code == 137


def test_a_supervisor_that_is_told_to_end_lets_its_stage_save(harness: LocalHarness) -> None:
    run = harness.held_in_train()

    os.kill(harness.supervisor(run), signal.SIGTERM)

    status = harness.ended(run)
    assert status.state is State.STOPPED
    assert status.reason == "the supervisor was stopped; submit the run again to continue"
    assert harness.events("stopped", "train")
