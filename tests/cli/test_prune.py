"""`prune`: ended runs are forgotten by their age, or their checkpoints removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.full import write_run
from tests.harness.terminal import on_terminal


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


@pytest.mark.parametrize("days", ["nan", "inf", "-inf", "-1", "x"])
def test_an_age_that_is_no_number_of_days_is_refused(jobrunner: Jobrunner, days: str) -> None:
    answer = jobrunner("prune", "--older-than", days)
    assert (answer.code, answer.out) == (2, "")
    assert "'--older-than'" in answer.err


def test_prune_asks_on_a_terminal(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    refused = on_terminal("prune", "--older-than", "0", answer="n\n")
    assert f"  {run} (Succeeded)\nForget 1 run? Storage is not touched. [y/N]: " in refused.screen
    assert "Nothing was changed." in refused.screen
    assert jobrunner("list", "-o", "name").out.split() == [run]
    assert run in on_terminal("prune", "--older-than", "0", "--yes").screen
    assert jobrunner("list", "-o", "name").out == ""


def test_checkpoints_of_ended_runs_are_removed_and_all_else_stays(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    storage = LocalStorage(harness.storage)
    ended, unfinished = harness.start("sw"), harness.start("cy", fail="train")
    for run in (ended, unfinished):
        harness.runner.wait(run, timeout=30)
        scratch = harness.storage.parent / run
        scratch.mkdir()
        write_run(storage, harness.runner.record(run).spec, scratch)
    storage.delete(f"{keys.export_prefix(unfinished)}manifest.json")
    before = {entry.key for entry in storage.list("")}
    own = {key for key in before if key.startswith(keys.checkpoints_prefix(ended))}
    last = {key for key in before if key.startswith(keys.checkpoints_prefix(unfinished))}

    planned = jobrunner("prune", "--checkpoints", "--dry-run")
    assert planned.out.split() == [ended]
    assert f"{unfinished} is left out (6 objects" in planned.err
    assert "Would be removed: 6 objects of 1 run, " in planned.err
    assert {entry.key for entry in storage.list("")} == before

    done = jobrunner("prune", "--checkpoints")
    assert (done.code, done.out.split()) == (0, [ended])
    assert {entry.key for entry in storage.list("")} == before - own
    assert jobrunner("prune", "--checkpoints").err.endswith("no checkpoints to remove.\n")

    both = jobrunner("prune", "--checkpoints", "--unfinished", "--older-than", "0")
    assert both.out.split() == [unfinished]
    assert "without an export, it starts over" in both.err
    assert {entry.key for entry in storage.list("")} == before - own - last
    assert set(jobrunner("list", "-o", "name").out.split()) == {ended, unfinished}


def test_checkpoints_of_live_runs_and_of_younger_ones_stay(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    live = harness.start(hold="train")
    harness.begun(live, "train")
    (harness.storage.parent / "scratch").mkdir()
    spec = harness.runner.record(live).spec
    write_run(LocalStorage(harness.storage), spec, harness.storage.parent / "scratch")
    assert jobrunner("prune", "--checkpoints").out == ""
    harness.release("train")
    harness.runner.wait(live, timeout=30)
    assert jobrunner("prune", "--checkpoints", "--older-than", "1").out == ""
    asked = on_terminal("prune", "--checkpoints", answer="n\n")
    assert "Remove 6 objects of 1 run, " in asked.screen
    assert jobrunner("prune", "--checkpoints").out.split() == [live]
    assert jobrunner("prune", "--unfinished", "--older-than", "1").code == 2


def test_a_storage_that_cannot_be_read_is_told_and_the_others_are_freed(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start("sw")
    harness.runner.wait(run, timeout=30)
    (harness.storage.parent / "scratch").mkdir()
    spec = harness.runner.record(run).spec
    write_run(LocalStorage(harness.storage), spec, harness.storage.parent / "scratch")
    broken = harness.start("cy")
    harness.runner.wait(broken, timeout=30)
    LocalStorage(harness.storage).delete(keys.run_file(broken))
    (harness.storage / keys.run_file(broken)).mkdir(parents=True)
    (harness.storage / keys.run_prefix(broken) / "loop").symlink_to("loop")
    answer = jobrunner("prune", "--checkpoints")
    assert (answer.code, answer.out.split()) == (3, [run])
    assert f"warning: {broken} is left out: " in answer.err


def test_a_run_that_cannot_be_read_here_is_left_out(
    jobrunner: Jobrunner, harness: CliHarness, tmp_path: Path
) -> None:
    run = harness.start("sw")
    harness.runner.wait(run, timeout=30)
    (tmp_path / "state" / "runs" / run / "record.json").write_text("{}")
    answer = jobrunner("prune", "--checkpoints")
    assert (answer.code, answer.out) == (3, "")
    assert f"warning: {run} is left out: " in answer.err
