"""Runs that are in the way or have ended, and the commands that their hints name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobrunner.cli.follow import finish
from jobrunner.errors import (
    WaitTimeout,
)
from jobrunner.spec import keys
from jobrunner.storage import folders
from tests import builders
from tests.harness.commandline import CliHarness, Jobrunner, harness, jobrunner
from tests.harness.here import here
from tests.harness.hints import assert_hint
from tests.harness.newer import UNKNOWN, rewrite_newer
from tests.harness.paths import MICRO

__all__ = ["harness", "here", "jobrunner"]


def advised(text: str) -> list[list[str]]:
    """The commands that a text names, as words after `jobrunner`."""
    return [found.split() for found in re.findall(r"`jobrunner ([^`]+)`", text)]


def test_a_run_that_failed_has_a_log(jobrunner: Jobrunner, harness: CliHarness) -> None:
    answer = jobrunner("status", "--follow", harness.start(fail="train"))
    assert_hint("`jobrunner logs {} shows more.", answer.err)
    assert_hint("`jobrunner logs{} {}` shows more.", answer.err)
    logs = jobrunner(*advised(answer.err)[-1])
    assert logs.code == 0
    assert "error: train cannot go on, try 1." in logs.out


def test_a_run_that_was_cancelled_is_resumed(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start(hold="train")
    harness.begun(run, "train")
    harness.runner.cancel(run)
    harness.release("train")
    answer = jobrunner("status", "--follow", run)
    assert_hint("`jobrunner resume{} {}` continues from its last checkpoint.", answer.err)
    verb, named = advised(answer.err)[-1]
    assert verb == "resume"
    assert harness.runner.resume(named).outcome == "continued"
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"


def test_a_run_that_takes_longer_is_looked_at(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start(hold="train")
    with pytest.raises(WaitTimeout) as followed:
        finish(harness.runner, run, show=False, timeout=0.1)
    assert_hint("It continues; `jobrunner status{} {}` shows it.", followed.value.hint)
    with pytest.raises(WaitTimeout) as waited:
        harness.runner.wait(run, timeout=0.1)
    assert_hint("It continues; `jobrunner status {}` shows it.", waited.value.hint)
    for error in (followed.value, waited.value):
        assert jobrunner(*advised(error.hint)[0]).code == 0
    harness.release("train")
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"


def test_a_live_run_is_cancelled_before_it_is_purged(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(hold="train")
    answer = jobrunner("delete", "--purge", "-y", run)
    assert_hint("`jobrunner cancel {}` stops it.", answer.err)
    assert jobrunner(*advised(answer.err)[0]).code == 0
    assert jobrunner("delete", "--purge", "-y", run).code == 0
    assert harness.runner.list() == []


def test_an_id_that_stdout_does_not_take_is_in_the_error(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    place = ("--storage", str(harness.storage), "--local", "--device", "cpu")
    like = ("--set", "train.warmup_steps=500", "--set", "train.learning_rate=1.25e-5")
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    typed = ("submit", "--lang", "el", "--model", "whisper-tiny", *place, *like)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jobrunner", *typed],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode
    assert_hint("`jobrunner status {}` shows it.", done.stderr.splitlines()[-1])
    assert jobrunner(*advised(done.stderr)[-1]).code == 0


def test_a_stage_is_one_of_those_that_a_run_has(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("logs", run, "--stage", "trian")
    assert_hint("It has prepare, train, evaluate-el.", answer.err)
    assert jobrunner("logs", run, "--stage", "train").code == 0


def test_the_start_of_two_ids_is_typed_longer(jobrunner: Jobrunner, harness: CliHarness) -> None:
    runs = [harness.start("el"), harness.start("en")]
    for run in runs:
        harness.runner.wait(run, timeout=30)
    assert_hint("Type more of the id.", jobrunner("status", "e").err)
    assert jobrunner("status", "el").code == 0


def test_a_run_that_is_measured_keeps_its_settings(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    typed = ("evaluate", "--model", run, "--lang", "en", "--dry-run")
    assert_hint("Leave it out.", jobrunner(*typed, "--device", "cpu").err)
    assert jobrunner(*typed).code == 0
    wrong = run[:-1] + ("1" if run[-1] == "0" else "0")
    answer = jobrunner("evaluate", "--model", wrong, *typed[3:])
    assert_hint(f"The nearest run is {run}.", answer.err)
    assert_hint("The nearest run is {}.", answer.err)


def test_a_model_that_is_not_there_yet(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    (harness.storage / keys.export_prefix(run) / folders.MANIFEST).unlink()
    answer = jobrunner("export", run, "greek")
    assert_hint(
        "`jobrunner status {}` shows how far it is; of a run that has ended, "
        "`jobrunner resume {}` makes the model again.",
        answer.err,
    )
    looked, resumed = advised(answer.err)
    assert jobrunner(*looked).code == 0
    harness.trains(MICRO)
    assert harness.runner.resume(resumed[1]).outcome == "continued"
    harness.runner.wait(run, timeout=30)
    assert jobrunner("export", run, "greek").code == 0


def test_a_model_that_is_damaged_is_made_again(
    jobrunner: Jobrunner, harness: CliHarness, here: Path
) -> None:
    harness.trains(MICRO)
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    weights = harness.storage / keys.export_prefix(run) / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    answer = jobrunner("export", run, "greek")
    assert_hint("`jobrunner resume {}` makes it again from the last checkpoint.", answer.err)
    assert harness.runner.resume(advised(answer.err)[0][1]).outcome == "continued"
    harness.runner.wait(run, timeout=30)
    assert jobrunner("export", run, "greek").code == 0


def test_another_folder_takes_a_model(
    jobrunner: Jobrunner, harness: CliHarness, here: Path
) -> None:
    harness.trains(MICRO)
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    (here / "mine").mkdir()
    (here / "mine" / "config.json").write_text("mine")
    assert_hint("Name another folder.", jobrunner("export", run, "mine").err)
    (here / "theirs").mkdir()
    (here / "theirs" / folders.MANIFEST).write_text(json.dumps({"files": {}}))
    other = jobrunner("export", run, "theirs").err
    assert "another model" in other
    assert_hint("Name another folder.", other)
    assert jobrunner("export", run, "others").code == 0


def test_a_run_that_only_measures_has_no_model(jobrunner: Jobrunner, harness: CliHarness) -> None:
    spec = builders.spec(
        task="evaluate",
        model="whisper-tiny",
        storage=str(harness.storage),
        resources__device="cpu",
    )
    measured = harness.runner.submit(spec).run
    harness.runner.wait(measured, timeout=30)
    answer = jobrunner("export", measured, "greek")
    assert_hint("`jobrunner submit` starts a run that does.", answer.err)
    harness.trains(MICRO)
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    assert jobrunner("export", run, "greek").code == 0


def test_a_run_of_a_newer_client_is_read_once_it_is_installed(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    """Installing is the record that this version can read."""
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    path = Path(os.environ["JOBRUNNER_STATE"]) / "runs" / run / "record.json"
    before = path.read_text()
    rewrite_newer(harness.runner.record(run), UNKNOWN)
    answer = jobrunner("resume", run, "--dry-run")
    assert_hint("`pip install --upgrade jobrunner`, if others can read it.", answer.err)
    path.write_text(before)
    assert jobrunner("resume", run, "--dry-run").code == 0
