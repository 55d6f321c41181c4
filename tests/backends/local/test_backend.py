"""The contract of backends, held against processes of this machine, and what only those can do."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobrunner.errors import SpecError, UnreadableRun, UsageError
from jobrunner.spec import keys
from jobrunner.spec import plan as plans
from jobrunner.spec.record import RunRecord
from jobrunner.states import State
from tests.contract.backends.follow import FollowContract
from tests.contract.backends.submit import SubmitContract
from tests.harness.backend import states
from tests.harness.local import LocalHarness, alive, kill
from tests.harness.newer import MADE_BY, UNKNOWN, UNREADABLE, newer_text
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


def test_another_storage_starts_from_the_beginning_once_the_run_is_deleted(
    harness: LocalHarness, tmp_path: Path
) -> None:
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.ended(plan.run)
    elsewhere = harness.plan(storage=str(tmp_path / "elsewhere"))

    with pytest.raises(UsageError, match=rf"has the storage .*jobrunner delete {plan.run}"):
        harness.backend.submit(elsewhere)
    assert harness.backend.record(plan.run).spec.storage == str(harness.storage)

    harness.backend.delete(plan.run)
    assert harness.backend.submit(elsewhere) == "created"

    assert states(harness.ended(plan.run))["train"] is State.SUCCEEDED
    assert len(harness.events("begins", "train")) == 2


def test_a_run_whose_storage_was_removed_may_have_another(
    harness: LocalHarness, tmp_path: Path
) -> None:
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.ended(plan.run)
    shutil.rmtree(harness.storage)

    elsewhere = harness.plan(storage=str(tmp_path / "elsewhere"))
    assert harness.backend.submit(elsewhere) == "created"

    assert harness.ended(plan.run).state is State.SUCCEEDED


def test_a_live_run_keeps_its_storage(harness: LocalHarness, tmp_path: Path) -> None:
    harness.held_in_train()
    elsewhere = harness.plan(storage=str(tmp_path / "elsewhere"))

    with pytest.raises(UsageError, match="is running with the storage"):
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


def finished(harness: LocalHarness, **changes: Any) -> RunRecord:
    """A run that has ended well."""
    plan = harness.plan(**changes)
    harness.backend.submit(plan)
    harness.ended(plan.run)
    return plan.record


def rewrite(harness: LocalHarness, run: str, **changes: Any) -> bytes:
    """Changes what this machine remembers of a run; the file as it is then."""
    path = harness.state / "runs" / run / "record.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in {**told, **changes}.items() if v is not None}))
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a form of its own", "a task that is not known here"])
def test_a_run_that_only_a_newer_client_can_read_is_a_row_and_is_left_alone(
    harness: LocalHarness, name: str
) -> None:
    other = finished(harness, seed=1)
    record = finished(harness)
    before = rewrite(harness, record.run, record=json.loads(newer_text(record, UNREADABLE[name])))

    listed = {status.run: status for status in harness.backend.list()}
    assert listed.keys() == {record.run, other.run}
    assert listed[other.run].state is State.SUCCEEDED
    row = listed[record.run]
    assert (row.state, row.reason, row.lang) == (State.STOPPED, MADE_BY, "")
    assert abs(row.submitted - listed[other.run].submitted) < 3600
    assert harness.backend.status(record.run) == row

    with pytest.raises(UnreadableRun, match=r"made by a newer jobrunner \(9\.9\.9\)"):
        harness.backend.submit(plans.plan(record))
    with pytest.raises(UnreadableRun):
        harness.backend.record(record.run)
    assert (harness.state / "runs" / record.run / "record.json").read_bytes() == before
    assert len(harness.events("begins", "train")) == 2

    harness.backend.delete(record.run)
    assert [status.run for status in harness.backend.list()] == [other.run]


def test_a_run_with_fields_of_a_newer_client_is_looked_at_and_not_continued(
    harness: LocalHarness,
) -> None:
    record = finished(harness)
    before = rewrite(harness, record.run, record=json.loads(newer_text(record, UNKNOWN)))

    [status] = harness.backend.list()
    assert (status.state, status.lang) == (State.SUCCEEDED, "el")
    more = record.with_spec(record.spec.evaluating(("el", "sw")))
    with pytest.raises(UnreadableRun, match=rf"^{record.run} was {MADE_BY[:24]}"):
        harness.backend.submit(plans.plan(more))
    assert (harness.state / "runs" / record.run / "record.json").read_bytes() == before
    assert list(harness.backend.logs(record.run))


def test_a_run_of_version_1_is_continued_under_its_own_id(harness: LocalHarness) -> None:
    record = finished(harness, version=1)
    spec = json.loads(record.spec.model_dump_json())
    spec["data"] = {**spec["data"], "source": "fleurs", "revision": ""}
    del spec["data"]["sources"]
    rewrite(harness, record.run, record=None, spec=spec)
    (harness.storage / keys.run_file(record.run)).write_text(json.dumps(spec))

    [status] = harness.backend.list()
    assert (status.run, status.state) == (record.run, State.SUCCEEDED)
    found = harness.backend.record(record.run)
    assert found == record
    more = found.with_spec(found.spec.evaluating(("el", "sw")))
    assert harness.backend.submit(plans.plan(more)) == "continued"

    assert states(harness.ended(record.run))["evaluate-sw"] is State.SUCCEEDED
    assert len(harness.events("begins", "train")) == 1
    assert harness.backend.record(record.run).spec.evaluate.languages == ("el", "sw")


def test_a_live_run_of_a_newer_client_can_be_stopped(harness: LocalHarness) -> None:
    run = harness.held_in_train()
    record = harness.backend.record(run)
    rewrite(harness, run, record=json.loads(newer_text(record, {"version": 3})))
    log = harness.state / "runs" / run / "supervisor.log"
    until(lambda: MADE_BY in log.read_text(), "its supervisor has looked")
    assert harness.backend.status(run).state is State.RUNNING
    assert alive(harness.begun("train").pid)

    harness.backend.cancel(run)

    assert harness.events("stopped", "train")
    assert harness.backend.status(run).state is State.STOPPED
