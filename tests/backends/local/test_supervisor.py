"""Runs that share this machine's devices: who goes first, and which devices a stage sees."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from jobrunner.backends.local.devices import CPU, DeviceQueue, Wait
from jobrunner.spec.plan import Plan
from jobrunner.status import State
from tests.harness.backend import Bench, Event, states, until


def _overlaps(events: list[Event]) -> list[tuple[Event, Event]]:
    starts = [event for event in events if event.what == "begins"]
    ends = {event.attempt: event.time for event in events if event.what == "ends"}
    return [(a, b) for a, b in pairwise(starts) if ends[a.attempt] > b.time]


def test_three_runs_take_turns_on_one_cpu_in_the_order_of_their_submits(
    local_bench: Bench,
) -> None:
    local_bench.hold("prepare")
    plans = [local_bench.plan(seed=seed) for seed in range(3)]

    def waits(plan: Plan, behind: str) -> bool:
        return local_bench.backend.status(plan.run).reason == f"waits for the CPU: {behind}"

    for plan in plans:
        local_bench.backend.submit(plan)
    until(lambda: waits(plans[1], "1 run before it"), "the second waits")
    until(lambda: waits(plans[2], "2 runs before it"), "the third waits")
    assert local_bench.backend.status(plans[2].run).state is State.QUEUED

    local_bench.release("prepare")
    for plan in plans:
        assert local_bench.ended(plan.run).state is State.SUCCEEDED

    order = [event.run for event in local_bench.events("begins")]
    assert order == [plan.run for plan in plans for _ in plan.stages]
    assert _overlaps(local_bench.events()) == []


def test_a_run_has_its_place_in_the_queue_when_its_submit_returns(local_bench: Bench) -> None:
    queue = DeviceQueue(local_bench.state / "devices")
    local_bench.hold("prepare")
    plan = local_bench.plan()

    local_bench.backend.submit(plan)

    # Its supervisor needs a moment to start.
    ticket = queue.enter("later", submitted=time.time(), place=0, slots=(CPU,), count=1)
    assert isinstance(queue.take(ticket), Wait)
    local_bench.begun("prepare")
    assert isinstance(queue.take(ticket), Wait)
    local_bench.release("prepare")
    queue.leave(ticket)
    assert local_bench.ended(plan.run).state is State.SUCCEEDED


def test_a_queued_run_can_be_cancelled_and_starts_nothing(local_bench: Bench) -> None:
    local_bench.hold("prepare")
    first, second = local_bench.plan(seed=0), local_bench.plan(seed=1)
    local_bench.backend.submit(first)
    local_bench.begun("prepare")
    local_bench.backend.submit(second)

    local_bench.backend.cancel(second.run)

    assert local_bench.backend.status(second.run).state is State.CANCELLED
    local_bench.release("prepare")
    local_bench.ended(first.run)
    assert {event.run for event in local_bench.events()} == {first.run}


def _give_gpus(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A machine with GPUs, as far as `nvidia-smi` tells."""
    program = folder / "nvidia-smi"
    lines = "\\n".join(f"GPU-{number}, NVIDIA A100-SXM4-80GB" for number in range(count))
    program.write_text(f"#!/bin/sh\nprintf '{lines}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_evaluations_run_side_by_side_on_the_gpus_and_each_sees_its_own(
    local_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_gpus(tmp_path, monkeypatch, 2)
    for language in ("el", "en", "sw"):
        local_bench.hold(f"evaluate-{language}")
    plan = local_bench.plan("el", "en", "sw", resources={"gpus": 2})
    local_bench.backend.submit(plan)

    both = [local_bench.begun("evaluate-el"), local_bench.begun("evaluate-en")]

    until(
        lambda: (
            local_bench.backend.status(plan.run).stages[-1].reason
            == "waits for 1 GPU, behind other stages of this run"
        ),
        "the third waits",
    )
    assert {event.devices for event in both} == {"GPU-0", "GPU-1"}
    assert local_bench.begun("train").devices == "GPU-0,GPU-1"
    assert local_bench.begun("prepare").devices == "-"
    for language in ("el", "en", "sw"):
        local_bench.release(f"evaluate-{language}")
    assert set(states(local_bench.ended(plan.run)).values()) == {State.SUCCEEDED}


def test_a_run_trains_on_the_gpu_while_another_prepares(
    local_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_gpus(tmp_path, monkeypatch, 1)
    local_bench.hold("train")
    first, second = (local_bench.plan(seed=seed, resources={"gpus": 1}) for seed in range(2))
    local_bench.backend.submit(first)
    local_bench.begun("train")

    local_bench.backend.submit(second)

    local_bench.begun("prepare", times=2)
    until(
        lambda: local_bench.backend.status(second.run).reason == "waits for 1 GPU: 1 run before it",
        "the second run waits for the GPU",
    )
    local_bench.release("train")
    assert local_bench.ended(second.run).state is State.SUCCEEDED


def test_gpus_that_are_gone_fail_the_stage_at_once(
    local_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give_gpus(tmp_path, monkeypatch, 1)
    plan = local_bench.plan(resources={"gpus": 2})
    local_bench.backend.submit(plan)

    status = local_bench.ended(plan.run)

    assert status.reason.startswith("The run asks for 2 GPUs and this machine shows 1.")
    assert status.stages[1].exit_code == 67
    assert status.stages[1].attempts == 0
