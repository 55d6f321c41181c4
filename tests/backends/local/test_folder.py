"""The state directory of this machine: lost, broken or full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobrunner.backends.local.folder import check_folders
from jobrunner.errors import StorageFull, UsageError
from jobrunner.states import State
from tests.harness.local import LocalHarness
from tests.harness.waiting import until


def test_a_broken_record_hides_no_other_run(harness: LocalHarness) -> None:
    plans = [harness.plan(seed=seed) for seed in range(2)]
    for plan in plans:
        harness.backend.submit(plan)
        harness.ended(plan.run)
    (harness.state / "runs" / plans[0].run / "record.json").write_text('{"submitted": ')

    listed = {status.run: status for status in harness.backend.list()}

    assert listed[plans[1].run].state is State.SUCCEEDED
    broken = listed[plans[0].run]
    assert broken.state is State.STOPPED
    assert "record.json cannot be read. `jobrunner delete" in broken.reason
    assert harness.backend.status(plans[0].run) == broken
    harness.backend.delete(plans[0].run)
    assert [status.run for status in harness.backend.list()] == [plans[1].run]


def test_a_run_whose_state_is_lost_starts_again(harness: LocalHarness) -> None:
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.ended(plan.run)
    (harness.state / "runs" / plan.run / "state.json").unlink()

    assert harness.backend.status(plan.run).state is State.STOPPED
    assert harness.backend.submit(plan) == "continued"
    assert harness.ended(plan.run).state is State.SUCCEEDED


def test_a_full_disk_is_told_in_one_line_and_loses_nothing(
    harness: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.held_in_train()
    harness.backend.cancel(run)
    before = harness.backend.status(run)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            StorageFull, match=r"No room left to write .* Free some space"
        ) as caught:
            harness.backend.submit(harness.plan())
    assert "\n" not in str(caught.value)

    assert harness.backend.status(run) == before
    harness.release("train")
    assert harness.backend.submit(harness.plan()) == "continued"
    assert harness.ended(run).state is State.SUCCEEDED


def test_a_state_directory_that_cannot_be_written_for_a_while_loses_nothing(
    harness: LocalHarness,
) -> None:
    run = harness.held_in_train()
    temporary = harness.state / ".incomplete"
    # From here on the supervisor writes nothing till the stage ends.
    until(lambda: harness.backend.status(run).stages[1].state is State.RUNNING, "it runs")
    temporary.rmdir()
    temporary.touch()
    harness.release("train")
    until(lambda: harness.events("ends", "evaluate-el"), "the run goes on")
    assert harness.backend.status(run).stages[2].state is not State.SUCCEEDED

    temporary.unlink()

    assert harness.ended(run).state is State.SUCCEEDED
    log = (harness.state / "runs" / run / "supervisor.log").read_text()
    assert f"runs/{run}/state.json: " in log


@pytest.mark.parametrize("name", ["JOBRUNNER_STATE", "JOBRUNNER_SCRATCH"])
def test_a_folder_that_cannot_be_written_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for each in ("JOBRUNNER_STATE", "JOBRUNNER_SCRATCH"):
        monkeypatch.setenv(each, str(tmp_path / "fine"))
    check_folders()
    # No one, not even root, can make a folder there.
    monkeypatch.setenv(name, "/proc/self/deeper/still")
    with pytest.raises(UsageError) as caught:
        check_folders()
    assert caught.value.message.startswith(f"{name}: /proc/self: ")
    assert caught.value.hint == f"Set {name} to a folder that you can write."
    assert list(tmp_path.iterdir()) == []
