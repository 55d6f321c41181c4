"""The state directory of this machine: lost, broken, full, or for another storage."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.errors import SpecError, StorageFull, UsageError
from jobrunner.status import State
from tests.harness.backend import Bench, states, until


def _held_in_train(bench: Bench) -> str:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.begun("train")
    return plan.run


def test_a_broken_record_hides_no_other_run(local_bench: Bench) -> None:
    plans = [local_bench.plan(seed=seed) for seed in range(2)]
    for plan in plans:
        local_bench.backend.submit(plan)
        local_bench.ended(plan.run)
    (local_bench.state / "runs" / plans[0].run / "record.json").write_text('{"submitted": ')

    listed = {status.run: status for status in local_bench.backend.list()}

    assert listed[plans[1].run].state is State.SUCCEEDED
    broken = listed[plans[0].run]
    assert broken.state is State.STOPPED
    assert "record.json cannot be read. `jobrunner delete" in broken.reason
    local_bench.backend.delete(plans[0].run)
    assert [status.run for status in local_bench.backend.list()] == [plans[1].run]


def test_a_run_whose_state_is_lost_starts_again(local_bench: Bench) -> None:
    plan = local_bench.plan()
    local_bench.backend.submit(plan)
    local_bench.ended(plan.run)
    (local_bench.state / "runs" / plan.run / "state.json").unlink()

    assert local_bench.backend.status(plan.run).state is State.STOPPED
    assert local_bench.backend.submit(plan) == "continued"
    assert local_bench.ended(plan.run).state is State.SUCCEEDED


def test_another_storage_starts_from_the_beginning(local_bench: Bench, tmp_path: Path) -> None:
    plan = local_bench.plan()
    local_bench.backend.submit(plan)
    local_bench.ended(plan.run)
    elsewhere = local_bench.plan(storage=str(tmp_path / "elsewhere"))

    assert local_bench.backend.submit(elsewhere) == "created"

    assert states(local_bench.ended(plan.run))["train"] is State.SUCCEEDED
    assert len(local_bench.events("begins", "train")) == 2


def test_a_live_run_keeps_its_storage(local_bench: Bench, tmp_path: Path) -> None:
    _held_in_train(local_bench)
    elsewhere = local_bench.plan(storage=str(tmp_path / "elsewhere"))

    with pytest.raises(UsageError, match="goes on with the storage"):
        local_bench.backend.submit(elsewhere)


def test_a_finished_run_whose_results_were_removed_starts_again(local_bench: Bench) -> None:
    plan = local_bench.plan()
    local_bench.backend.submit(plan)
    local_bench.ended(plan.run)
    (local_bench.storage / "runs" / plan.run / "run.json").unlink()

    assert local_bench.backend.submit(plan) == "created"

    local_bench.ended(plan.run)
    assert len(local_bench.events("begins", "train")) == 2


def test_a_run_without_storage_is_refused(local_bench: Bench) -> None:
    with pytest.raises(SpecError, match=r"^storage: is not given"):
        local_bench.backend.submit(local_bench.plan(storage=""))


def test_a_full_disk_is_told_in_one_line_and_loses_nothing(
    local_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _held_in_train(local_bench)
    local_bench.backend.cancel(run)
    before = local_bench.backend.status(run)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            StorageFull, match=r"No room left to write .* Free some space"
        ) as caught:
            local_bench.backend.submit(local_bench.plan())
    assert "\n" not in str(caught.value)

    assert local_bench.backend.status(run) == before
    local_bench.release("train")
    assert local_bench.backend.submit(local_bench.plan()) == "continued"
    assert local_bench.ended(run).state is State.SUCCEEDED


def test_a_state_directory_that_cannot_be_written_for_a_while_loses_nothing(
    local_bench: Bench,
) -> None:
    run = _held_in_train(local_bench)
    temporary = local_bench.state / ".incomplete"
    # From here on the supervisor writes nothing till the stage ends.
    until(lambda: local_bench.backend.status(run).stages[1].state is State.RUNNING, "it runs")
    temporary.rmdir()
    temporary.touch()
    local_bench.release("train")
    until(lambda: local_bench.events("ends", "evaluate-el"), "the run goes on")
    assert local_bench.backend.status(run).stages[2].state is not State.SUCCEEDED

    temporary.unlink()

    assert local_bench.ended(run).state is State.SUCCEEDED
    log = (local_bench.state / "runs" / run / "supervisor.log").read_text()
    assert f"runs/{run}/state.json: " in log


def test_a_program_that_cannot_be_started_is_told(local_bench: Bench) -> None:
    backend = LocalBackend(local_bench.state, command=("/no/such/program",), retry_seconds=0.01)
    plan = local_bench.plan(cluster={"attempts": 2})
    backend.submit(plan)

    *_, status = backend.watch(plan.run, timeout=30)

    assert status.state is State.FAILED
    assert "/no/such/program: No such file or directory" in status.reason
