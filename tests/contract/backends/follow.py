"""What every backend promises to those who look: list, watch and logs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from jobrunner.backends.base import LogLine
from jobrunner.errors import UsageError
from jobrunner.spec import names
from jobrunner.status import State
from tests.harness.backend import Bench, states, until


def test_runs_are_listed_newest_first(bench: Bench) -> None:
    plans = [bench.plan(seed=seed) for seed in range(3)]
    for plan in plans:
        bench.backend.submit(plan)
    for plan in plans:
        bench.ended(plan.run)

    assert [status.run for status in bench.backend.list()] == [plan.run for plan in plans[::-1]]


def test_watch_tells_each_change_and_ends_with_the_run(bench: Bench) -> None:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    seen = []
    for status in bench.backend.watch(plan.run, timeout=bench.seconds):
        seen.append(status)
        held = bench.holds("train")
        if held and status.stages[1].state is State.RUNNING:
            bench.release("train")

    assert seen[-1].state is State.SUCCEEDED
    assert State.RUNNING in {status.state for status in seen}
    assert all(before != after for before, after in pairwise(seen))


def test_watch_gives_up_when_its_time_is_over(bench: Bench) -> None:
    bench.hold("prepare")
    plan = bench.plan()
    bench.backend.submit(plan)

    *_, last = bench.backend.watch(plan.run, timeout=0.3)

    assert not last.state.ended


def _texts(lines: list[LogLine]) -> list[tuple[str, str]]:
    return [(line.stage, line.text[9:]) for line in lines]


EXPECTED = [
    ("prepare", "prepare begins with el"),
    ("prepare", "prepare is done"),
    ("train", "train begins with el"),
    ("train", "error: train cannot go on, try 1."),
    ("train", "train begins with el"),
    ("train", "train is done"),
    ("evaluate-el", "evaluate-el begins with el"),
    ("evaluate-el", "evaluate-el is done"),
]


def test_logs_have_all_stages_and_attempts_in_order(bench: Bench) -> None:
    bench.codes("train", 1)
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.ended(plan.run)

    assert _texts(list(bench.backend.logs(plan.run))) == EXPECTED
    assert _texts(list(bench.backend.logs(plan.run, stage="train"))) == EXPECTED[2:6]
    with pytest.raises(UsageError, match="It has prepare, train, evaluate-el"):
        list(bench.backend.logs(plan.run, stage="tain"))


def test_following_logs_loses_and_doubles_no_line(bench: Bench) -> None:
    bench.codes("train", 1)
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    with ThreadPoolExecutor(2) as pool:
        readers = [
            pool.submit(lambda: list(bench.backend.logs(plan.run, follow=True))) for _ in range(2)
        ]
        bench.begun("train")
        bench.release("train")
        for reader in readers:
            assert _texts(reader.result(timeout=bench.seconds)) == EXPECTED


def test_following_one_stage_ends_with_it(bench: Bench) -> None:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)

    lines = list(bench.backend.logs(plan.run, stage="prepare", follow=True))

    assert _texts(lines) == EXPECTED[:2]
    assert not bench.backend.status(plan.run).state.ended


def test_each_attempts_log_is_in_storage_when_the_run_has_ended(bench: Bench) -> None:
    bench.codes("train", 1)
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.ended(plan.run)

    for event in bench.events("begins"):
        key = names.log_file(plan.run, event.stage, event.attempt)
        log = bench.stored(key)
        assert log
        assert log.splitlines()[0].endswith(f"{event.stage} begins with el")


def test_an_evaluation_run_trains_nothing(bench: Bench) -> None:
    plan = bench.plan("el", "en", task="evaluate")
    bench.backend.submit(plan)

    assert list(states(bench.ended(plan.run))) == ["prepare", "evaluate-el", "evaluate-en"]


def test_status_is_never_half_written(bench: Bench) -> None:
    bench.codes("train", 1, 1, 1)
    plan = bench.plan()
    bench.backend.submit(plan)

    reads = 0

    def over() -> bool:
        nonlocal reads
        reads += 1
        assert len(bench.backend.status(plan.run).stages) == 3
        return bench.backend.status(plan.run).state.ended

    until(over)
    assert reads > 1
