"""The contract of backends, held against a real cluster, with stages that are real pods."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.contract.backends.follow import FollowContract
from tests.contract.backends.submit import SubmitContract
from tests.harness.cluster.backend import ClusterHarness


class TestSubmit(SubmitContract):
    """Runs are started and stopped."""


class TestFollow(FollowContract):
    """Runs are looked at."""


def test_submits_at_once_make_one_run(harness: ClusterHarness) -> None:
    plan = harness.plan()
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: harness.backend.submit(plan), range(4)))

    assert sorted(outcomes) == ["adopted", "adopted", "adopted", "created"]
    harness.ended(plan.run)
    assert harness.began() == ["prepare", "train", "evaluate-el"]


@contextmanager
def requests(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Paths that were asked for: the pool of connections logs each request that was answered."""
    asked: list[str] = []
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        yield asked
        requests = [each.args for each in caplog.records if "HTTP" in each.getMessage()]
        asked += [str(args[4]) for args in requests if isinstance(args, tuple)]


def test_a_list_takes_three_requests_however_many_runs_there_are(
    harness: ClusterHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.hold("prepare")
    for seed in range(3):
        harness.backend.submit(harness.plan(seed=seed))
        with requests(caplog) as asked:
            assert len(harness.backend.list()) == seed + 1
        assert len(asked) == 3, asked
    assert gc.isenabled()


def test_a_repeated_submit_asks_for_nothing_but_its_own_run(
    harness: ClusterHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.hold("prepare")
    plan = harness.plan()
    harness.backend.submit(plan)
    with requests(caplog) as asked:
        assert harness.backend.submit(plan) == "adopted"
    assert len(asked) == 3, asked
    assert all(plan.run in path for path in asked), asked
