"""`prune`: ended runs are forgotten by their age."""

from __future__ import annotations

from tests.harness.commandline import CliHarness, Jobrunner


def test_prune_forgets_what_ended_before_a_day_and_nothing_that_goes_on(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    ended = harness.start("sw")
    harness.runner.wait(ended, timeout=30)
    live = harness.start("el", hold="train")
    assert jobrunner("prune", "--older-than", "1").out == ""
    assert jobrunner("prune", "--older-than", "0", "--dry-run").out.split() == [ended]
    assert jobrunner("list", "-o", "name").out.split() == [live, ended]
    assert jobrunner("prune", "--older-than", "0").out.split() == [ended]
    assert jobrunner("list", "-o", "name").out.split() == [live]
    assert jobrunner("prune").code == 2
