"""`cancel` and `delete`: what they stop, forget and keep."""

from __future__ import annotations

from tests.harness.commandline import CliHarness, Jobrunner


def test_cancel_stops_and_delete_forgets(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start(hold="train")
    harness.begun(run, "train")
    cancelled = jobrunner("cancel", run)
    assert (cancelled.code, cancelled.out) == (0, f"{run}\n")
    again = jobrunner("cancel", run)
    assert (again.code, again.out) == (0, "")
    assert again.err == f"{run} has already ended: cancelled.\n"
    assert jobrunner("status", run, "-o", "json").out.count('"Cancelled"') >= 1
    deleted = jobrunner("delete", "@latest")
    assert (deleted.code, deleted.out) == (0, f"{run}\n")
    assert str(harness.storage) in deleted.err
    assert jobrunner("status", run).code == 2
    assert (harness.storage / "runs" / run / "run.json").exists()
