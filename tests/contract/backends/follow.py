"""What every backend promises to those who look: list, watch and logs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from jobrunner.backends.base import LogLine
from jobrunner.spec import keys
from jobrunner.states import State
from tests.harness.backend import Harness, states


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


class FollowContract:
    """Tests of a backend; `harness` is the fixture of whoever runs them."""

    def test_runs_are_listed_newest_first(self, harness: Harness) -> None:
        plans = [harness.plan(seed=seed) for seed in range(3)]
        for plan in plans:
            harness.backend.submit(plan)
        for plan in plans:
            harness.ended(plan.run)

        listed = [status.run for status in harness.backend.list()]
        assert listed == [plan.run for plan in plans[::-1]]

    def test_watch_tells_each_change_and_ends_with_the_run(self, harness: Harness) -> None:
        harness.hold("train")
        plan = harness.plan()
        harness.backend.submit(plan)
        seen = []
        for status in harness.backend.watch(plan.run, timeout=harness.seconds):
            seen.append(status)
            held = harness.holds("train")
            if held and status.stages[1].state is State.RUNNING:
                harness.release("train")

        assert seen[-1].state is State.SUCCEEDED
        assert State.RUNNING in {status.state for status in seen}
        assert all(before != after for before, after in pairwise(seen))

    def test_watch_gives_up_when_its_time_is_over(self, harness: Harness) -> None:
        harness.hold("prepare")
        plan = harness.plan()
        harness.backend.submit(plan)

        *_, last = harness.backend.watch(plan.run, timeout=0.3)

        assert not last.state.ended

    def test_logs_have_all_stages_and_attempts_in_order(self, harness: Harness) -> None:
        harness.codes("train", 1)
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.ended(plan.run)

        assert _texts(list(harness.backend.logs(plan.run))) == EXPECTED
        assert _texts(list(harness.backend.logs(plan.run, stage="train"))) == EXPECTED[2:6]
        assert list(harness.backend.logs(plan.run, stage="tain")) == []

    def test_following_logs_loses_and_doubles_no_line(self, harness: Harness) -> None:
        harness.codes("train", 1)
        harness.hold("train")
        plan = harness.plan()
        harness.backend.submit(plan)
        with ThreadPoolExecutor(2) as pool:
            readers = [
                pool.submit(lambda: list(harness.backend.logs(plan.run, follow=True)))
                for _ in range(2)
            ]
            harness.begun("train")
            harness.release("train")
            for reader in readers:
                assert _texts(reader.result(timeout=harness.seconds)) == EXPECTED

    def test_following_one_stage_ends_with_it(self, harness: Harness) -> None:
        harness.hold("train")
        plan = harness.plan()
        harness.backend.submit(plan)

        lines = list(harness.backend.logs(plan.run, stage="prepare", follow=True))

        assert _texts(lines) == EXPECTED[:2]
        assert not harness.backend.status(plan.run).state.ended

    def test_each_attempts_log_is_in_storage_when_the_run_has_ended(self, harness: Harness) -> None:
        harness.codes("train", 1)
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.ended(plan.run)

        for event in harness.events("begins"):
            key = keys.log_file(plan.run, event.stage, event.attempt)
            log = harness.stored(key)
            assert log
            assert log.splitlines()[0].endswith(f"{event.stage} begins with el")

    def test_an_evaluation_run_trains_nothing(self, harness: Harness) -> None:
        plan = harness.plan("el", "en", task="evaluate")
        harness.backend.submit(plan)

        assert list(states(harness.ended(plan.run))) == ["prepare", "evaluate-el", "evaluate-en"]
