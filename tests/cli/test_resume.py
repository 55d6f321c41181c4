"""`resume`: the recorded run again, without typing its submit again."""

from __future__ import annotations

import pytest

from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.newer import UNKNOWN, rewrite_newer


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_run_that_ended_early_continues_with_its_own_spec(
    jobrunner: Jobrunner, harness: CliHarness, end: str
) -> None:
    if end == "failed":
        run = harness.start(fail="train")
        harness.runner.wait(run, timeout=30)
        (harness.control / "codes-train").unlink()
    else:
        run = harness.start(hold="train")
        harness.begun(run, "train")
        harness.runner.cancel(run)
        harness.release("train")
    before = harness.runner.record(run)
    # A failure that would come again is not to be resumed as it is.
    assert (f"jobrunner resume {run}" in jobrunner("status", run).err) == (end == "cancelled")

    assert harness.runner.resume(run).outcome == "continued"
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"
    assert harness.runner.record(run) == before


def test_the_command_continues_the_run_that_the_start_of_its_id_names(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    # The command starts the real stages. Storage has no model, and the hub is out of reach.
    answer = jobrunner("resume", run[:8], "--wait")
    assert (answer.code, answer.out) == (1, f"{run}\n")
    assert answer.err.startswith(f"{run[:8]} is {run}.\n")
    assert "Continues with what is left to do." in answer.err
    assert f"error: {run} failed: prepare: " in answer.err


def test_a_dry_run_shows_the_plan_and_starts_nothing(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("resume", run, "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert f"run       {run}\n" in answer.out
    assert harness.runner.status(run).state == "Failed"


def test_a_run_that_succeeded_has_nothing_to_resume(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("resume", run)
    assert (answer.code, answer.out) == (0, f"{run}\n")
    assert answer.err.startswith(f"{run} has already succeeded; there is nothing to resume.\n")
    assert harness.runner.resume(run).outcome == "adopted"


def test_a_live_run_is_left_as_it_is(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start(hold="train")
    harness.begun(run, "train")
    answer = jobrunner("resume", run)
    assert answer.code == 0, answer.err
    assert "nothing was started" in answer.err
    harness.release("train")
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"


def test_a_run_that_is_not_there_or_of_a_newer_client_is_refused(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    missing = jobrunner("resume", "el-whisper-tiny-00000000")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("error: There is no run el-whisper-tiny-00000000")
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    rewrite_newer(harness.runner.record(run), UNKNOWN)
    for typed in (("resume", run), ("diff", run, run)):
        newer = jobrunner(*typed)
        assert (newer.code, newer.out) == (2, "")
        assert newer.err.startswith(f"error: {run} was made by a newer jobrunner (9.9.9).")
