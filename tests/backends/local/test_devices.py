"""The queue for devices: who goes first, who waits for what, and what the dead leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.backends.local.devices import CPU, DeviceClaim, DeviceQueue, Ticket, Wait


def _reason(wait: DeviceClaim | Wait) -> str:
    assert isinstance(wait, Wait)
    return wait.reason


@pytest.fixture
def queue(tmp_path: Path) -> DeviceQueue:
    return DeviceQueue(tmp_path / "devices")


def _cpu(queue: DeviceQueue, run: str, submitted: float, place: int = 0) -> Ticket:
    return queue.enter(run, submitted=submitted, place=place, slots=(CPU,), count=1)


def _taken(claim: DeviceClaim | Wait) -> DeviceClaim:
    assert isinstance(claim, DeviceClaim), claim
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


def test_a_run_that_is_about_to_start_keeps_its_place_whatever_the_others_want(
    queue: DeviceQueue,
) -> None:
    place = queue.reserve("old", submitted=1.0)
    waiting = _cpu(queue, "young", 2.0)
    gpu = queue.enter("young", submitted=2.0, place=1, slots=("GPU-0",), count=1)
    assert _reason(queue.take(waiting)) == "waits for the CPU: 1 run before it"
    assert _reason(queue.take(gpu)) == "waits for 1 GPU: 1 run before it"

    older = _cpu(queue, "old", 1.0)
    queue.give_up(place, "old", submitted=1.0)

    _taken(queue.take(gpu))
    assert _reason(queue.take(waiting)) == "waits for the CPU: 1 run before it"
    _taken(queue.take(older))


def test_a_place_kept_by_the_dead_holds_nobody_up(queue: DeviceQueue) -> None:
    queue.reserve("old", submitted=1.0).close()
    _taken(queue.take(_cpu(queue, "young", 2.0)))


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
    held: list[DeviceClaim] = []
    while waiting:
        ticket = choices.choice(waiting)  # type: ignore[attr-defined]
        claim = queue.take(ticket)
        if isinstance(claim, DeviceClaim):
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
