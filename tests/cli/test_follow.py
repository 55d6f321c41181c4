"""Waiting for a run: until its end, until one leaves, or until the time is over."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobrunner.cli.follow import finish
from jobrunner.errors import WaitTimeout
from tests.harness.commandline import CliHarness, Jobrunner


def test_waiting_ends_with_the_run_and_with_its_code(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(fail="evaluate-el")
    answer = jobrunner("status", "--follow", run)
    assert answer.code == 1
    *lines, last = answer.err.splitlines()
    assert any(line.startswith("prepare: ") for line in lines)
    assert last.startswith(f"error: {run} failed: evaluate-el: ")
    assert last.endswith(f"`jobrunner logs {run}` shows more.")


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


def test_ctrl_c_while_following_leaves_the_run_alone(harness: CliHarness) -> None:
    run = harness.start(hold="train")
    with _follow(run) as process:
        assert process.stderr is not None
        assert any(line.startswith("train: Running") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        assert process.wait() == 130
    assert told.strip() == (
        f"Detached; {run} continues. `jobrunner status --follow {run}` follows it again."
    )
    assert harness.runner.status(run).state == "Running"
    harness.release("train")
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"


def test_a_wait_that_gives_up_ends_with_4_and_leaves_the_run(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(hold="prepare")
    with pytest.raises(WaitTimeout) as error:
        finish(harness.runner, run, show=False, timeout=0.1)
    assert error.value.exit_code == 4
    assert str(error.value) == (
        f"{run} has not ended after 0.1 s. It continues; `jobrunner status {run}` shows it."
    )
    assert not harness.runner.status(run).state.ended
    harness.release("prepare")
