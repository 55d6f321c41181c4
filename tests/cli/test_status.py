"""Commands over runs that are there: status, list, logs, cancel, delete, waiting."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.harness.commandline import CliHarness, Jobrunner


def test_status_shows_stages_and_what_to_type_next(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(hold="train")
    harness.begun(run, "train")
    answer = jobrunner("status")
    lines = [re.split(r"  +", line) for line in answer.out.splitlines()]
    assert lines[0] == [run, "Running"]
    assert lines[1][0].startswith("Greek, whisper-tiny, on this machine, submitted ")
    assert lines[4] == ["STAGE", "STATUS", "PROGRESS", "TIME", "LEFT", "TRIES", "NOW"]
    assert lines[5][:3] == ["prepare", "Succeeded", "████████████████ 100%"]
    assert lines[6][:3] == ["train", "Running", "████████░░░░░░░░"]
    assert lines[7][:2] == ["evaluate-el", "Waiting"]
    assert f"jobrunner logs -f {run}" in answer.err
    harness.release("train")
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"
    ended = jobrunner("status", "@latest").err
    assert f"jobrunner report {run}" in ended
    assert f"jobrunner evaluate --model {run} --lang en" in ended


def test_a_language_that_was_measured_is_not_suggested(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start("en")
    harness.runner.wait(run, timeout=30)
    assert f"jobrunner evaluate --model {run} --lang es" in jobrunner("status").err


def test_what_to_type_next_names_a_namespace_that_is_not_configured(
    jobrunner: Jobrunner, harness: CliHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    assert f"jobrunner report -n speech {run}" in jobrunner("status", "-n", "speech").err
    assert jobrunner("report", "-n", "speech", run).code == 0
    monkeypatch.setenv("JOBRUNNER_CLUSTER__NAMESPACE", "speech")
    assert f"jobrunner report {run}" in jobrunner("status", "-n", "speech").err


def test_a_failure_that_would_come_again_is_not_to_be_submitted_as_it_is(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("status", run)
    assert "train cannot go on, try 1." in answer.out
    assert f"jobrunner logs {run}" in answer.err
    assert "jobrunner resume" not in answer.err

    (harness.control / "codes-train").write_text("65\n1\n1\n1\n1")
    harness.start()
    harness.runner.wait(run, timeout=30)
    assert f"jobrunner resume {run}" in jobrunner("status", run).err


def test_every_form_of_status_and_list_tells_the_same(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    older = harness.start("sw")
    harness.runner.wait(older, timeout=30)
    run = harness.start("el", fail="train")
    harness.runner.wait(run, timeout=30)
    assert jobrunner("list", "-o", "name").out.split() == [run, older]
    listed = json.loads(jobrunner("list", "-o", "json").out)
    assert listed["version"] == 1
    assert [(each["run"], each["state"]) for each in listed["runs"]] == [
        (run, "Failed"),
        (older, "Succeeded"),
    ]
    assert yaml.safe_load(jobrunner("list", "-o", "yaml").out) == listed
    status = json.loads(jobrunner("status", run, "-o", "json").out)
    assert {key: status[key] for key in listed["runs"][0]} == listed["runs"][0]
    times = [status["submitted"], *(stage["started"] for stage in status["stages"][:2])]
    times += [status["stages"][1]["ended"], listed["runs"][0]["submitted"]]
    for time in times:
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    assert status["stages"][2]["started"] is None
    assert status["stages"][2]["progress"]["updated"] is None
    head, first, second = (line.split() for line in jobrunner("list").out.splitlines())
    assert " ".join(head) == "RUN LANG MODEL STATUS STAGE PROGRESS LEFT LOSS RATE AGE REASON"
    assert first[:5] == [run, "el", "whisper-tiny", "Failed", "train"]
    assert second[:6] == [older, "sw", "whisper-tiny", "Succeeded", "-", "100%"]
    assert "train: train cannot go on" in jobrunner("list", "-o", "wide").out
    wide = jobrunner("list", "-o", "wide").out.splitlines()
    assert wide[0].split()[-5:] == ["BACKEND", "TRIES", "STEP", "STORAGE", "REASON"]
    assert wide[1].split()[10:14] == ["local", "1", "-", str(harness.storage)]
    # Three stages that needed one attempt each.
    assert wide[2].split()[10:14] == ["local", "1", "-", str(harness.storage)]
