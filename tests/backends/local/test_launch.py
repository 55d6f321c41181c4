"""Supervisors and stages of this machine that die, at any time and by any signal."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.spec import names
from jobrunner.status import State
from tests.harness.backend import STAGE, Bench, alive, kill, until
from tests.harness.paths import ROOT

LOST = "the supervisor ended; submit again to go on"


def _held_in_train(bench: Bench) -> str:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.begun("train")
    return plan.run


def test_a_killed_supervisor_takes_its_stage_along_and_the_run_is_stopped(
    local_bench: Bench,
) -> None:
    run = _held_in_train(local_bench)

    kill(local_bench.supervisor(run))

    status = local_bench.backend.status(run)
    assert (status.state, status.reason) == (State.STOPPED, LOST)
    until(lambda: not alive(local_bench.begun("train").pid), "the stage dies too")


def test_a_run_whose_supervisor_was_killed_goes_on_with_one_writer(local_bench: Bench) -> None:
    run = _held_in_train(local_bench)
    kill(local_bench.supervisor(run))

    assert local_bench.backend.submit(local_bench.plan()) == "continued"

    second = local_bench.begun("train", times=2)
    assert not alive(local_bench.begun("train").pid)
    local_bench.release("train")
    status = local_bench.ended(run)
    assert status.state is State.SUCCEEDED
    assert status.stages[1].attempts == 2
    logged = [line.attempt for line in local_bench.backend.logs(run, stage="train")]
    first = local_bench.begun("train").attempt
    assert list(dict.fromkeys(logged)) == [first, second.attempt]
    assert (local_bench.storage / names.log_file(run, "train", first)).exists()


def test_a_submit_ends_what_outlived_a_killed_supervisor(
    local_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems where a child cannot be bound to its parent's life."""
    helper = local_bench.control / "outlives.py"
    # Its child inherits the lock, and is not the supervisor's own child.
    helper.write_text(
        "import os, sys\n"
        "if sys.argv[1] == 'train' and os.fork():\n"
        "    os.wait()\n"
        "else:\n"
        f"    exec(compile(open({str(STAGE)!r}).read(), 'stage', 'exec'))\n"
    )
    backend = LocalBackend(local_bench.state, command=(sys.executable, "-S", str(helper)))
    local_bench.hold("train")
    plan = local_bench.plan()
    backend.submit(plan)
    orphan = local_bench.begun("train").pid
    parent = int(Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[1])
    kill(int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]))
    assert alive(orphan)

    assert backend.submit(plan) == "continued"

    assert not alive(orphan)
    local_bench.begun("train", times=2)
    backend.cancel(plan.run)


def test_a_killed_stage_is_tried_again(local_bench: Bench) -> None:
    run = _held_in_train(local_bench)

    kill(local_bench.begun("train").pid)

    local_bench.begun("train", times=2)
    reason = until(lambda: local_bench.backend.status(run).stages[1].state is State.RUNNING)
    assert reason
    local_bench.release("train")
    assert local_bench.ended(run).state is State.SUCCEEDED


def test_a_killed_stage_says_how_it_died(local_bench: Bench) -> None:
    local_bench.hold("train")
    plan = local_bench.plan(cluster={"attempts": 1})
    local_bench.backend.submit(plan)
    kill(local_bench.begun("train").pid)

    status = local_bench.ended(plan.run)

    assert status.reason == "killed by SIGKILL; was there enough memory?"
    assert status.stages[1].exit_code == 137


def test_a_supervisor_that_is_told_to_end_lets_its_stage_save(local_bench: Bench) -> None:
    run = _held_in_train(local_bench)

    os.kill(local_bench.supervisor(run), signal.SIGTERM)

    status = local_bench.ended(run)
    assert status.state is State.STOPPED
    assert status.reason == "the supervisor was ended; submit again to go on"
    assert local_bench.events("stopped", "train")


def test_a_submit_while_the_supervisor_is_ended_goes_on_after_it(local_bench: Bench) -> None:
    (local_bench.control / "deaf-train").touch()
    run = _held_in_train(local_bench)
    os.kill(local_bench.supervisor(run), signal.SIGTERM)
    until((local_bench.state / "runs" / run / "cancel").exists, "the supervisor stops the run")
    local_bench.release("train")

    local_bench.backend.submit(local_bench.plan())

    assert local_bench.ended(run).state is State.SUCCEEDED


def test_a_stage_that_does_not_stop_is_killed_after_its_grace(local_bench: Bench) -> None:
    (local_bench.control / "deaf-train").touch()
    backend = LocalBackend(
        local_bench.state, command=(sys.executable, "-S", str(STAGE)), grace_seconds=0.2
    )
    local_bench.hold("train")
    plan = local_bench.plan()
    backend.submit(plan)
    pid = local_bench.begun("train").pid

    backend.cancel(plan.run)

    assert not alive(pid)
    assert backend.status(plan.run).state is State.CANCELLED


def test_a_stopped_run_can_be_cancelled(local_bench: Bench) -> None:
    run = _held_in_train(local_bench)
    kill(local_bench.supervisor(run))

    local_bench.backend.cancel(run)

    assert local_bench.backend.status(run).state is State.CANCELLED


def test_a_submit_during_a_cancel_goes_on_after_it(local_bench: Bench) -> None:
    run = _held_in_train(local_bench)
    local_bench.release("train")
    local_bench.hold("evaluate-el")
    local_bench.begun("evaluate-el")
    (local_bench.state / "runs" / run / "cancel").touch()

    assert local_bench.backend.submit(local_bench.plan()) == "continued"

    local_bench.begun("evaluate-el", times=2)
    local_bench.release("evaluate-el")
    assert local_bench.ended(run).state is State.SUCCEEDED


def test_the_run_outlives_the_shell_that_submitted_it(local_bench: Bench, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.harness.backend import *\n"
        "from jobrunner.backends.local.backend import LocalBackend\n"
        "control, storage, state = map(Path, sys.argv[2:])\n"
        "backend = LocalBackend(state, command=(sys.executable, '-S', str(STAGE)))\n"
        "bench = Bench(backend, control, storage, state)\n"
        "print(backend.submit(bench.plan()))\n"
    )
    local_bench.hold("train")
    shell = subprocess.Popen(
        [
            *(sys.executable, "-c", code, str(ROOT)),
            *map(str, (local_bench.control, local_bench.storage, local_bench.state)),
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=tmp_path,
    )
    # Reading to the end returns only if the run holds no end of the shell's pipe.
    assert shell.communicate(timeout=60)[0] == b"created\n"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGHUP)

    local_bench.begun("train")
    local_bench.release("train")
    assert local_bench.ended(local_bench.plan().run).state is State.SUCCEEDED


def test_a_module_in_the_users_folder_is_not_imported_by_accident(
    local_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pydantic.py").write_text("raise RuntimeError('imported by accident')")
    monkeypatch.chdir(tmp_path)
    plan = local_bench.plan()

    local_bench.backend.submit(plan)

    assert local_bench.ended(plan.run).state is State.SUCCEEDED
