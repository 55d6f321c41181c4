"""The runs that a list shows: by language, state and age, sorted and counted."""

from __future__ import annotations

from datetime import datetime

import pytest

from jobrunner.cli.filter import SORTS, STATES, Wanted, moment
from jobrunner.errors import UsageError
from jobrunner.states import Progress, RunStatus, StageStatus, State
from tests.harness.commandline import CliHarness, Jobrunner

NOW = 1_764_000_000.0


def run(name: str, submitted: float, **training: object) -> RunStatus:
    """A run with the progress of its training."""
    progress = Progress.model_validate(training)
    stage = StageStatus(stage="train", state=State.RUNNING, progress=progress)
    return RunStatus(
        run=name,
        lang=name[:2],
        model=name[3:],
        state=State.RUNNING,
        submitted=submitted,
        stages=(stage,),
    )


RUNS = [
    run("sw-tiny", 400.0),
    run("el-small", 300.0, loss=2.0, metric="wer", rate=0.3),
    run("cy-tiny", 200.0, loss=1.0, metric="wer", rate=0.2),
    run("el-base", 100.0, loss=3.0, metric="cer", rate=0.4).model_copy(
        update={"state": State.FAILED}
    ),
]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("age", "sw-tiny el-small cy-tiny el-base"),
        ("lang", "cy-tiny el-small el-base sw-tiny"),
        ("loss", "cy-tiny el-small el-base sw-tiny"),
        ("model", "el-base el-small sw-tiny cy-tiny"),
        ("rate", "el-base cy-tiny el-small sw-tiny"),
        ("run", "cy-tiny el-base el-small sw-tiny"),
        ("status", "el-base sw-tiny el-small cy-tiny"),
    ],
)
def test_runs_are_sorted_and_equal_ones_stay_newest_first(sort: str, order: str) -> None:
    assert [status.run for status in Wanted(sort=sort).of(RUNS)] == order.split()


def test_every_key_is_tested_and_every_state_has_its_place() -> None:
    assert set(SORTS) == {"age", "lang", "loss", "model", "rate", "run", "status"}
    assert {*STATES, "Waiting"} == {str(state) for state in State}


def test_filters_come_before_the_limit() -> None:
    wanted = Wanted(languages=frozenset({"el"}), limit=1)
    assert [status.run for status in wanted.of(RUNS)] == ["el-small"]
    failed = Wanted(languages=frozenset({"el"}), states=frozenset({"Failed"}), limit=1)
    assert [status.run for status in failed.of(RUNS)] == ["el-base"]


def test_a_run_whose_time_is_not_known_is_shown() -> None:
    unknown = run("hi-tiny", 0.0)
    assert Wanted(since=250.0).of([*RUNS, unknown]) == [*RUNS[:2], unknown]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("3h", 10800), (" 1.5d ", 129600), ("1w", 604800)],
)
def test_an_age_is_a_moment_in_the_past(text: str, seconds: int) -> None:
    assert moment(text, NOW) == NOW - seconds


def test_a_date_is_local_unless_it_names_a_zone() -> None:
    assert moment("2026-11-21", NOW) == datetime(2026, 11, 21).astimezone().timestamp()
    assert moment("2026-11-21T18:00:00Z", NOW) == 1795284000.0


@pytest.mark.parametrize(
    "text", ["", "x", "2", "-3h", "3H", "2026-13-45", "nan", "inf", "9" * 99 + "d"]
)
def test_what_is_no_time_is_refused_with_examples(jobrunner: Jobrunner, text: str) -> None:
    with pytest.raises(UsageError, match=r"--since: .* is not a time\. Write an age such as 45m"):
        moment(text, NOW)
    answer = jobrunner("list", f"--since={text}")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--status=failed,nope",
            "--status: no run is 'nope'. Choose from failed, stopped, running,",
        ),
        ("--status=", "--status: no run is ''."),
        ("--lang=gree", "lang: no language is called 'gree'."),
        ("--lang=", "lang: "),
        ("--limit=0", "invalid value for '--limit'"),
        ("--sort=size", "invalid value for '--sort'"),
    ],
)
def test_what_no_run_can_be_is_refused(jobrunner: Jobrunner, option: str, message: str) -> None:
    answer = jobrunner("list", option)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert message in answer.err


def test_every_form_of_the_list_is_filtered(jobrunner: Jobrunner, harness: CliHarness) -> None:
    greek, swahili = harness.start("el"), harness.start("sw")
    for each in (greek, swahili):
        harness.runner.wait(each, timeout=30)
    typed = ("list", "--lang", "Greek,hi", "--status", "SUCCEEDED", "--since", "1h")
    assert jobrunner(*typed, "-o", "name").out.split() == [greek]
    for kind in ("json", "yaml", "table", "wide"):
        answer = jobrunner(*typed, "-o", kind)
        assert greek in answer.out
        assert swahili not in answer.out
    assert jobrunner("list", "--sort", "lang", "--limit", "1", "-o", "name").out.split() == [greek]
    nothing = jobrunner("list", "--status", "failed")
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err == "None of 2 runs matches. `jobrunner list` shows all.\n"
