"""Worker processes: no task is lost, none is taken ahead without bound, and none outlives us."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.core.data import pool
from jobrunner.errors import Interrupted, JobrunnerError
from tests.harness.hints import hinted


def _square(number: int) -> int:
    return number * number


def _die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _fail(number: int) -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_gives_its_result_once(workers: int) -> None:
    found = pool.spread(_square, range(40), workers, lambda: False)
    assert sorted(found) == [number * number for number in range(40)]


def test_tasks_are_taken_as_results_are_read() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = pool.spread(_square, tasks(), 2, lambda: False)
    next(results)
    assert len(taken) <= 8
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_gives_what_was_begun_and_then_interrupts(workers: int) -> None:
    given: list[int] = []
    results = pool.spread(_square, range(1000), workers, lambda: len(given) > 3)
    with pytest.raises(Interrupted):
        given.extend(results)
    assert 4 <= len(given) <= 12


def test_a_worker_that_is_killed_ends_the_stage_with_a_reason() -> None:
    with pytest.raises(
        JobrunnerError, match="A worker process died, most likely because memory ran out"
    ):
        list(pool.spread(_die, range(10), 2, lambda: False))


def _needs_memory(number: int) -> int:
    if os.environ["MEMORY"] == "little":
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_fewer_workers_and_more_memory_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that share too little memory are killed by the kernel; here they do it."""
    monkeypatch.setenv("MEMORY", "little")
    with hinted("Give prepare more memory or fewer cores; it continues where it stopped."):
        list(pool.spread(_needs_memory, range(4), 2, lambda: False))
    monkeypatch.setenv("MEMORY", "enough")
    for workers in (1, 2):
        found = pool.spread(_needs_memory, range(4), workers, lambda: False)
        assert sorted(found) == [0, 1, 2, 3]


def test_an_error_of_a_worker_is_ours() -> None:
    with pytest.raises(OSError, match="No space left"):
        list(pool.spread(_fail, range(10), 2, lambda: False))


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1)]
)
def test_the_limit_of_a_container_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, cores: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(pool, "_CGROUP", tmp_path / "cpu.max")
    assert pool.cores() == (cores or len(os.sched_getaffinity(0)))
