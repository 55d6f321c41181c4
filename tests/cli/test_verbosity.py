"""`-q` and `-v`: how much a command prints beside its result."""

from __future__ import annotations

import logging

import pytest

from tests.harness.commandline import CliHarness, Jobrunner

S3 = ("--lang", "el", "--storage", "s3://speech/runs")


def test_quiet_prints_the_result_and_nothing_else(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    assert jobrunner("-q", "list").err == ""
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    usual = jobrunner("status", run)
    assert "jobrunner logs" in usual.err
    for typed in (("-q", "status", run), ("status", "-q", run), ("status", run, "--quiet")):
        answer = jobrunner(*typed)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.startswith(run)
    # The next command is not quiet.
    assert jobrunner("status", run).err == usual.err


def test_quiet_keeps_errors(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("-q", "status", "--follow", run)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert answer.err.startswith(f"error: {run} failed")
    assert jobrunner("-q", "status", "el-nothing-00000000").err.startswith("error: ")


def test_verbose_prints_where_settings_come_from(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRUNNER_TRAIN__STEPS", "77")
    usual = jobrunner("submit", *S3, "--dry-run")
    for typed in (("-v", "submit", *S3, "--dry-run"), ("submit", *S3, "--dry-run", "-v")):
        answer = jobrunner(*typed)
        assert (answer.code, answer.out) == (0, usual.out)
        lines = answer.err.splitlines()
        assert "train.steps = 77  (JOBRUNNER_TRAIN__STEPS)" in lines
        assert "storage = s3://speech/runs  (--storage)" in lines
        assert not any("default" in line for line in lines)


def test_verbose_prints_what_the_rooms_below_log(jobrunner: Jobrunner) -> None:
    logger = logging.getLogger("jobrunner.storage.s3_client")
    jobrunner("-v", "--version")
    assert jobrunner("-v", "languages").code == 0
    assert logger.isEnabledFor(logging.DEBUG)
    assert jobrunner("languages").code == 0
    assert not logger.isEnabledFor(logging.DEBUG)
    assert logging.getLogger("jobrunner").handlers == []


@pytest.mark.parametrize("typed", ["-q -v list", "-q list -v", "-v list -q", "list -q -v"])
def test_quiet_and_verbose_exclude_each_other(jobrunner: Jobrunner, typed: str) -> None:
    answer = jobrunner(*typed.split())
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "-q and -v cannot both be given." in answer.err


def test_the_help_of_a_command_does_not_repeat_them(jobrunner: Jobrunner) -> None:
    assert "--quiet" in jobrunner("--help").out
    assert "--quiet" not in jobrunner("list", "--help").out
