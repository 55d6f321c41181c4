"""The contract of backends, held against a real cluster, with stages that are real pods."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.backends.test_contract_follow import *  # noqa: F403
from tests.backends.test_contract_submit import *  # noqa: F403
from tests.harness.cluster.backend import ClusterBench

# About files and processes of one machine; the second has its like below.
del globals()["test_status_is_never_half_written"]
del globals()["test_two_submits_at_once_make_one_run"]


def test_submits_at_once_make_one_run(bench: ClusterBench) -> None:
    plan = bench.plan()
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: bench.backend.submit(plan), range(4)))

    assert sorted(outcomes) == ["adopted", "adopted", "adopted", "created"]
    bench.ended(plan.run)
    assert [event.stage for event in bench.events("begins")] == ["prepare", "train", "evaluate-el"]


@contextmanager
def requests(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Paths that were asked for: the pool of connections logs each request that was answered."""
    asked: list[str] = []
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        yield asked
        told = [each.args for each in caplog.records if "HTTP" in each.getMessage()]
        asked += [str(args[4]) for args in told if isinstance(args, tuple)]


def test_a_list_takes_three_requests_however_many_runs_there_are(
    bench: ClusterBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.hold("prepare")
    for seed in range(3):
        bench.backend.submit(bench.plan(seed=seed))
        with requests(caplog) as asked:
            assert len(bench.backend.list()) == seed + 1
        assert len(asked) == 3, asked
    assert gc.isenabled()


def test_a_repeated_submit_asks_for_nothing_but_its_own_run(
    bench: ClusterBench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.hold("prepare")
    plan = bench.plan()
    bench.backend.submit(plan)
    with requests(caplog) as asked:
        assert bench.backend.submit(plan) == "adopted"
    assert len(asked) == 3, asked
    assert all(plan.run in path for path in asked), asked
