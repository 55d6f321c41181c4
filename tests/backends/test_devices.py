"""The queue for devices: who goes first, who waits for what, and what the dead leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from backend_bench import Bench, Event, states, until
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.backends.local.devices import CPU, Claim, DeviceQueue, Ticket, Wait
from jobrunner.plan import Plan
from jobrunner.status import State


def _reason(wait: Claim | Wait) -> str:
    assert isinstance(wait, Wait)
    return wait.reason


@pytest.fixture
def queue(tmp_path: Path) -> DeviceQueue:
    return DeviceQueue(tmp_path / "devices")


def _cpu(queue: DeviceQueue, run: str, submitted: float, place: int = 0) -> Ticket:
    return queue.enter(run, submitted=submitted, place=place, slots=(CPU,), count=1)


def _taken(claim: Claim | Wait) -> Claim:
    assert isinstance(claim, Claim), claim
    return claim


def test_a_free_slot_is_taken_at_once(queue: DeviceQueue) -> None:
    claim = _taken(queue.take(_cpu(queue, "a", 1.0)))
    assert claim.slots == (CPU,)


def test_who_waits_is_told_how_many_runs_are_before_it(queue: DeviceQueue) -> None:
    first, second, third = (_cpu(queue, run, place) for place, run in enumerate("abc"))
    claim = _taken(queue.take(first))

    assert _reason(queue.take(second)) == "waits for the CPU: 1 run before it"
    assert _reason(queue.take(third)) == "waits for the CPU: 2 runs before it"

    claim.release()
    assert _reason(queue.take(third)) == "waits for the CPU: 1 run before it"
    _taken(queue.take(second))


def test_stages_of_one_run_wait_for_each_other_without_counting_as_runs(
    queue: DeviceQueue,
) -> None:
    _taken(queue.take(_cpu(queue, "a", 1.0, 0)))
    second = _cpu(queue, "a", 1.0, 1)
    assert _reason(queue.take(second)) == "waits for the CPU, behind other stages of this run"


def test_the_older_run_goes_first_even_if_it_queues_later(queue: DeviceQueue) -> None:
    younger = _cpu(queue, "young", 2.0)
    older = _cpu(queue, "old", 1.0)

    assert _reason(queue.take(younger)) == "waits for the CPU: 1 run before it"
    _taken(queue.take(older))


def test_a_ticket_that_was_given_back_holds_nobody_up(queue: DeviceQueue) -> None:
    older, younger = _cpu(queue, "old", 1.0), _cpu(queue, "young", 2.0)
    queue.leave(older)
    _taken(queue.take(younger))


def test_a_stage_that_wants_two_gpus_is_not_overtaken_by_one_that_wants_one(
    queue: DeviceQueue,
) -> None:
    both = ("GPU-0", "GPU-1")
    first = queue.enter("a", submitted=1.0, place=0, slots=both, count=1)
    second = queue.enter("b", submitted=2.0, place=0, slots=both, count=2)
    third = queue.enter("c", submitted=3.0, place=0, slots=both, count=1)
    claim = _taken(queue.take(first))

    assert _reason(queue.take(second)) == "waits for 2 GPUs: 1 run before it"
    assert _reason(queue.take(third)) == "waits for 1 GPU: 2 runs before it"

    claim.release()
    assert _taken(queue.take(second)).slots == both


def test_runs_that_see_other_gpus_do_not_wait_for_each_other(queue: DeviceQueue) -> None:
    first = queue.enter("a", submitted=1.0, place=0, slots=("GPU-0",), count=1)
    second = queue.enter("b", submitted=2.0, place=0, slots=("GPU-1",), count=1)
    _taken(queue.take(second))
    _taken(queue.take(first))


def test_the_slashes_of_a_part_of_a_gpu_do_no_harm(queue: DeviceQueue) -> None:
    name = "MIG-GPU-5c0f/1/0"
    ticket = queue.enter("a", submitted=1.0, place=0, slots=(name,), count=1)
    assert _taken(queue.take(ticket)).slots == (name,)


def test_the_dead_free_their_slots_and_their_place(queue: DeviceQueue, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from jobrunner.backends.local.devices import DeviceQueue\n"
        "queue = DeviceQueue(pathlib.Path(sys.argv[1]))\n"
        "claim = queue.take(queue.enter('a', submitted=1, place=0, slots=['cpu'], count=1))\n"
        "ticket = queue.enter('b', submitted=2, place=0, slots=['cpu'], count=1)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "devices")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    ticket = _cpu(queue, "c", 3.0)
    assert _reason(queue.take(ticket)) == "waits for the CPU: 2 runs before it"

    process.kill()
    process.communicate()

    _taken(queue.take(ticket))


@settings(deadline=None, max_examples=30)
@given(
    wants=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5)), min_size=1, max_size=8),
    choices=st.randoms(use_true_random=False),
)
def test_whoever_asks_in_any_order_gets_in_and_no_slot_is_given_twice(
    tmp_path_factory: pytest.TempPathFactory,
    wants: list[tuple[int, int]],
    choices: object,
) -> None:
    queue = DeviceQueue(tmp_path_factory.mktemp("devices"))
    slots = ("GPU-0", "GPU-1", "GPU-2")
    waiting = [
        queue.enter(f"run-{place}", submitted=float(age), place=place, slots=slots, count=count)
        for place, (count, age) in enumerate(wants)
    ]
    order = []
    held: list[Claim] = []
    while waiting:
        ticket = choices.choice(waiting)  # type: ignore[attr-defined]
        claim = queue.take(ticket)
        if isinstance(claim, Claim):
            order.append(ticket.path.name)
            waiting.remove(ticket)
            held.append(claim)
            busy = [slot for one in held for slot in one.slots]
            assert len(busy) == len(set(busy))
        elif held:
            held.pop(0).release()
    assert order == sorted(order)
    for one in held:
        one.release()


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

    # A supervisor is in the queue only once it has started, so each is awaited before the next.
    local_bench.backend.submit(plans[0])
    local_bench.begun("prepare")
    local_bench.backend.submit(plans[1])
    until(lambda: waits(plans[1], "1 run before it"), "the second waits")
    local_bench.backend.submit(plans[2])
    until(lambda: waits(plans[2], "2 runs before it"), "the third waits")
    assert local_bench.backend.status(plans[2].run).state is State.QUEUED

    local_bench.release("prepare")
    for plan in plans:
        assert local_bench.ended(plan.run).state is State.SUCCEEDED

    order = [event.run for event in local_bench.events("begins")]
    assert order == [plan.run for plan in plans for _ in plan.stages]
    assert _overlaps(local_bench.events()) == []


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
