"""`show`: the spec of a run as it was submitted."""

from __future__ import annotations

import json

import yaml

from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.newer import UNKNOWN, UNKNOWN_PATHS, UNREADABLE, rewrite_newer


def test_what_differs_from_the_defaults_comes_first_and_is_marked(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start()
    answer = jobrunner("show", run)
    assert answer.code == 0, answer.err
    head, *rows = answer.out.splitlines()
    assert head.split() == ["FIELD", "DEFAULT", "VALUE"]
    marked = [row.split() for row in rows if row.startswith("* ")]
    assert marked == [row.split() for row in rows[: len(marked)]]
    assert ["*", "lang", "-", "el"] in marked
    assert ["*", "model", "whisper-small", "whisper-tiny"] in marked
    assert ["train.steps", "same", "2000"] in [row.split() for row in rows]
    assert run in answer.err


def test_every_form_of_show_has_the_whole_spec(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start("sw")
    shown = json.loads(jobrunner("show", "-o", "json").out)
    assert yaml.safe_load(jobrunner("show", run, "-o", "yaml").out) == shown
    assert (shown["run"], shown["spec"]["lang"]) == (run, "sw")
    assert shown["spec"]["train.steps"] == 2000
    assert "lang" in shown["differs"]
    assert "train.steps" not in shown["differs"]


def test_a_run_that_is_not_there_shows_nothing(jobrunner: Jobrunner) -> None:
    answer = jobrunner("show", "el-whisper-tiny-00000000")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: There is no run el-whisper-tiny-00000000")


def test_what_only_a_newer_client_knows_is_named(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    record = harness.runner.record(run)
    rewrite_newer(record, UNKNOWN)
    answer = jobrunner("show", run)
    assert answer.code == 0
    assert all(path in answer.err for path in UNKNOWN_PATHS)
    rewrite_newer(record, UNREADABLE["a form of its own"])
    answer = jobrunner("show", run)
    assert (answer.code, answer.out) == (2, "")
    assert "made by a newer jobrunner (9.9.9)" in answer.err
