"""The contract of backends, held against processes of this machine, and what only those can do."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from jobrunner.errors import SpecError, UsageError
from jobrunner.status import State
from tests.contract.backends.follow import FollowContract
from tests.contract.backends.submit import SubmitContract
from tests.harness.backend import states
from tests.harness.local import LocalHarness, kill
from tests.harness.waiting import until


class TestSubmit(SubmitContract):
    """Runs are started and stopped."""


class TestFollow(FollowContract):
    """Runs are looked at."""


def _submit(harness: LocalHarness) -> str:
    return harness.backend.submit(harness.plan())


def test_two_submits_at_once_make_one_run(harness: LocalHarness) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        outcomes = pool.map(_submit, [harness] * 4)
        pool.close()
        pool.join()

    assert sorted(outcomes) == ["adopted", "adopted", "adopted", "created"]
    harness.ended(harness.plan().run)
    assert harness.began() == ["prepare", "train", "evaluate-el"]


def test_status_is_never_half_written(harness: LocalHarness) -> None:
    harness.codes("train", 1, 1, 1)
    plan = harness.plan()
    harness.backend.submit(plan)

    reads = 0

    def over() -> bool:
        nonlocal reads
        reads += 1
        assert len(harness.backend.status(plan.run).stages) == 3
        return harness.backend.status(plan.run).state.ended

    until(over)
    assert reads > 1


def test_a_stopped_run_can_be_cancelled(harness: LocalHarness) -> None:
    run = harness.held_in_train()
    kill(harness.supervisor(run))

    harness.backend.cancel(run)

    assert harness.backend.status(run).state is State.CANCELLED


def test_another_storage_starts_from_the_beginning(harness: LocalHarness, tmp_path: Path) -> None:
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.ended(plan.run)
    elsewhere = harness.plan(storage=str(tmp_path / "elsewhere"))

    assert harness.backend.submit(elsewhere) == "created"

    assert states(harness.ended(plan.run))["train"] is State.SUCCEEDED
    assert len(harness.events("begins", "train")) == 2


def test_a_live_run_keeps_its_storage(harness: LocalHarness, tmp_path: Path) -> None:
    harness.held_in_train()
    elsewhere = harness.plan(storage=str(tmp_path / "elsewhere"))

    with pytest.raises(UsageError, match="goes on with the storage"):
        harness.backend.submit(elsewhere)


def test_a_finished_run_whose_results_were_removed_starts_again(harness: LocalHarness) -> None:
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.ended(plan.run)
    (harness.storage / "runs" / plan.run / "run.json").unlink()

    assert harness.backend.submit(plan) == "created"

    harness.ended(plan.run)
    assert len(harness.events("begins", "train")) == 2


def test_a_run_without_storage_is_refused(harness: LocalHarness) -> None:
    with pytest.raises(SpecError, match=r"^storage: is not given"):
        harness.backend.submit(harness.plan(storage=""))
