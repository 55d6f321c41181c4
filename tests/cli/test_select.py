"""The run that a command means."""

from __future__ import annotations

import pytest

from jobrunner.backends.local.backend import LocalBackend
from tests.harness.commandline import CliHarness, Jobrunner


@pytest.mark.parametrize(
    "typed",
    [
        "status {} -o name",
        "logs {}",
        "report {}",
        "show {}",
        "diff {} @latest",
        "resume {}",
        "cancel {}",
        "evaluate --model {} --lang sw --dry-run",
    ],
)
def test_the_start_of_one_id_is_enough(
    jobrunner: Jobrunner, harness: CliHarness, typed: str
) -> None:
    run = harness.start("el")
    other = harness.start("sw")
    for each in (run, other):
        harness.runner.wait(each, timeout=30)
    short, whole = (jobrunner(*typed.format(text).split()) for text in (run[:12], run))
    assert short.code == whole.code == 0, short.err
    assert short.out == whole.out


def test_a_start_of_several_ids_is_refused_with_these_ids(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    runs = [harness.start("el"), harness.start("en")]
    for typed in ("status e", "delete e", "evaluate --model e --lang sw", "diff e @latest"):
        answer = jobrunner(*typed.split())
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("error: e is the start of 2 run ids: ")
        assert all(run in answer.err for run in runs)
    assert len(jobrunner("list", "-o", "name").out.split()) == 2


def test_delete_says_which_run_a_start_stood_for_and_takes_it_once(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start("el")
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("delete", "el-wh", run, "@latest")
    assert (answer.code, answer.out) == (0, f"{run}\n")
    assert answer.err.startswith(f"el-wh is {run}.\nDeleted.")
    missing = jobrunner("delete", "el-wh")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("error: There is no run el-wh on this machine.")


def test_a_whole_id_lists_no_runs(
    jobrunner: Jobrunner, harness: CliHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.start("el")
    harness.runner.wait(run, timeout=30)

    def listed(backend: LocalBackend) -> list[object]:
        raise AssertionError("all runs were listed")

    monkeypatch.setattr(LocalBackend, "list", listed)
    assert jobrunner("status", run, "-o", "name").out == f"{run}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBRUNNER_DEBUG", "1")
        with pytest.raises(AssertionError, match="all runs were listed"):
            jobrunner("status", run[:8], "-o", "name")
    monkeypatch.undo()
