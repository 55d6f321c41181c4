"""`logs`: of all stages and attempts, or of one."""

from __future__ import annotations

import re

from tests.harness.commandline import CliHarness, Jobrunner


def test_logs_tell_the_stage_and_each_attempt(jobrunner: Jobrunner, harness: CliHarness) -> None:
    (harness.control / "codes-train").write_text("1")
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("logs")
    lines = [re.sub(r"\d\d:\d\d:\d\d ", "", line) for line in answer.out.splitlines()]
    stages = [line.split()[0] for line in lines]
    assert stages == ["prepare"] * 2 + ["train"] * 4 + ["evaluate-el"] * 2
    assert "train        error: train cannot go on, try 1." in lines
    assert "-- train, next attempt --" in answer.err
    one = jobrunner("logs", run, "--stage", "prepare", "-f")
    assert [line.split(" ", 1)[1] for line in one.out.splitlines()] == [
        "prepare begins with el",
        "prepare is done",
    ]
    wrong = jobrunner("logs", run, "--stage", "test")
    assert wrong.code == 2
    assert "It has prepare, train, evaluate-el." in wrong.err
