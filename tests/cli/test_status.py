"""Commands over runs that are there: status, list, logs, cancel, delete, waiting."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from jobrunner.cli.follow import finish
from jobrunner.errors import WaitTimeout
from tests.harness.commandline import Bench, Jobrunner
from tests.harness.paths import MICRO


def test_status_shows_stages_and_what_to_type_next(jobrunner: Jobrunner, bench: Bench) -> None:
    run = bench.start(hold="train")
    bench.begun(run, "train")
    answer = jobrunner("status")
    lines = [re.split(r"  +", line) for line in answer.out.splitlines()]
    assert lines[0] == [run, "Running"]
    assert lines[1][0].startswith("Greek, whisper-tiny, on this machine, submitted ")
    assert lines[4] == ["STAGE", "STATUS", "PROGRESS", "TIME", "LEFT", "TRIES", "NOW"]
    assert lines[5][:3] == ["prepare", "Succeeded", "████████████████ 100%"]
    assert lines[6][:3] == ["train", "Running", "████████░░░░░░░░"]
    assert lines[7][:2] == ["evaluate-el", "Waiting"]
    assert f"jobrunner logs -f {run}" in answer.err
    bench.release("train")
    assert bench.runner.wait(run, timeout=30).state == "Succeeded"
    assert f"jobrunner report {run}" in jobrunner("status", "@latest").err


def test_what_to_type_next_names_a_namespace_that_is_not_configured(
    jobrunner: Jobrunner, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.start()
    bench.runner.wait(run, timeout=30)
    assert f"jobrunner report -n speech {run}" in jobrunner("status", "-n", "speech").err
    assert jobrunner("report", "-n", "speech", run).code == 0
    monkeypatch.setenv("JOBRUNNER_CLUSTER__NAMESPACE", "speech")
    assert f"jobrunner report {run}" in jobrunner("status", "-n", "speech").err


def test_every_form_of_status_and_list_tells_the_same(jobrunner: Jobrunner, bench: Bench) -> None:
    older = bench.start("sw")
    bench.runner.wait(older, timeout=30)
    run = bench.start("el", fail="train")
    bench.runner.wait(run, timeout=30)
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
    head, first, second = (line.split() for line in jobrunner("list").out.splitlines())
    assert " ".join(head) == "RUN LANG MODEL STATUS STAGE PROGRESS LEFT LOSS WER AGE REASON"
    assert first[:5] == [run, "el", "whisper-tiny", "Failed", "train"]
    assert second[:6] == [older, "sw", "whisper-tiny", "Succeeded", "-", "100%"]
    assert "train: train cannot go on" in jobrunner("list", "-o", "wide").out
    assert str(bench.storage) in jobrunner("list", "-o", "wide").out


def test_logs_tell_the_stage_and_each_attempt(jobrunner: Jobrunner, bench: Bench) -> None:
    (bench.control / "codes-train").write_text("1")
    run = bench.start()
    bench.runner.wait(run, timeout=30)
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


def test_cancel_stops_and_delete_forgets(jobrunner: Jobrunner, bench: Bench) -> None:
    run = bench.start(hold="train")
    bench.begun(run, "train")
    cancelled = jobrunner("cancel", run)
    assert (cancelled.code, cancelled.out) == (0, f"{run}\n")
    again = jobrunner("cancel", run)
    assert (again.code, again.out) == (0, "")
    assert again.err == f"{run} has ended already: cancelled.\n"
    assert jobrunner("status", run, "-o", "json").out.count('"Cancelled"') >= 1
    deleted = jobrunner("delete", "@latest")
    assert (deleted.code, deleted.out) == (0, f"{run}\n")
    assert str(bench.storage) in deleted.err
    assert jobrunner("status", run).code == 2
    assert (bench.storage / "runs" / run / "run.json").exists()


def test_waiting_ends_with_the_run_and_with_its_code(jobrunner: Jobrunner, bench: Bench) -> None:
    run = bench.start(fail="evaluate-el")
    answer = jobrunner("status", "--follow", run)
    assert answer.code == 1
    *lines, last = answer.err.splitlines()
    assert any(line.startswith("prepare: ") for line in lines)
    assert last.startswith(f"error: {run} failed: evaluate-el: ")
    assert last.endswith(f"`jobrunner logs {run}` tells more.")


@contextmanager
def _follow(run: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "jobrunner", "status", "--follow", run]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test that runs in the background of a shell ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_ctrl_c_while_following_leaves_the_run_alone(bench: Bench) -> None:
    run = bench.start(hold="train")
    with _follow(run) as process:
        assert process.stderr is not None
        assert any(line.startswith("train: Running") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        assert process.wait() == 130
    assert told.strip() == (
        f"Detached; {run} goes on. `jobrunner status --follow {run}` comes back to it."
    )
    assert bench.runner.status(run).state == "Running"
    bench.release("train")
    assert bench.runner.wait(run, timeout=30).state == "Succeeded"


def test_a_wait_that_gives_up_ends_with_4_and_leaves_the_run(
    jobrunner: Jobrunner, bench: Bench
) -> None:
    run = bench.start(hold="prepare")
    with pytest.raises(WaitTimeout) as error:
        finish(bench.runner, run, show=False, timeout=0.1)
    assert error.value.exit_code == 4
    assert str(error.value) == (
        f"{run} has not ended after 0.1 s. It goes on; `jobrunner status {run}` shows it."
    )
    assert not bench.runner.status(run).state.ended
    bench.release("prepare")


def test_submit_tells_the_run_on_stdout_and_ends_with_what_to_type(
    jobrunner: Jobrunner, here: Path
) -> None:
    (here / "speech").mkdir()
    (here / "speech/metadata.csv").write_text(
        "file_name,sentence,client_id,split\n"
        + "".join(f"{n}.wav,καλημέρα {n},s{n},{s}\n" for n, s in enumerate(["train", "test"] * 3))
    )
    for number in range(6):
        (here / f"speech/{number}.wav").write_bytes(b"no audio %d" % number)
    options = ("--lang", "el", "--data", "speech", "--local", "--device", "cpu", "--wait")
    answer = jobrunner("submit", *options, "--model", str(MICRO))
    run = answer.out.strip()
    assert run, answer.err
    assert re.fullmatch(r"el-whisper-micro-[0-9a-f]{8}", run)
    assert answer.code == 1
    assert f"run       {run}\n" in answer.err
    assert "\nStarted.\n" in answer.err
    *_, last = answer.err.splitlines()
    assert last.startswith(f"error: {run} failed: prepare: ")


def test_prune_forgets_what_ended_before_a_day_and_nothing_that_goes_on(
    jobrunner: Jobrunner, bench: Bench
) -> None:
    ended = bench.start("sw")
    bench.runner.wait(ended, timeout=30)
    live = bench.start("el", hold="train")
    assert jobrunner("prune", "--older-than", "1").out == ""
    assert jobrunner("prune", "--older-than", "0", "--dry-run").out.split() == [ended]
    assert jobrunner("list", "-o", "name").out.split() == [live, ended]
    assert jobrunner("prune", "--older-than", "0").out.split() == [ended]
    assert jobrunner("list", "-o", "name").out.split() == [live]
    assert jobrunner("prune").code == 2
