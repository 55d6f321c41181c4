"""A supervisor is started: away from the shell, and after what an earlier one left has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.spec import keys
from jobrunner.states import State
from tests.harness.local import STAGE, LocalHarness, alive, kill, parent
from tests.harness.paths import ROOT
from tests.harness.waiting import until


def test_a_run_whose_supervisor_was_killed_goes_on_with_one_writer(harness: LocalHarness) -> None:
    run = harness.held_in_train()
    kill(harness.supervisor(run))

    assert harness.backend.submit(harness.plan()) == "continued"

    second = harness.begun("train", times=2)
    assert not alive(harness.begun("train").pid)
    harness.release("train")
    status = harness.ended(run)
    assert status.state is State.SUCCEEDED
    assert status.stages[1].attempts == 2
    logged = [line.attempt for line in harness.backend.logs(run, stage="train")]
    first = harness.begun("train").attempt
    assert list(dict.fromkeys(logged)) == [first, second.attempt]
    assert (harness.storage / keys.log_file(run, "train", first)).exists()


def test_a_submit_ends_what_outlived_a_killed_supervisor(
    harness: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems where a child cannot be bound to its parent's life."""
    helper = harness.control / "outlives.py"
    # Its child inherits the lock, and is not the supervisor's own child.
    helper.write_text(
        "import os, sys\n"
        "if sys.argv[1] == 'train' and os.fork():\n"
        "    os.wait()\n"
        "else:\n"
        f"    exec(compile(open({str(STAGE)!r}).read(), 'stage', 'exec'))\n"
    )
    backend = LocalBackend(harness.state, command=(sys.executable, "-S", str(helper)))
    harness.hold("train")
    plan = harness.plan()
    backend.submit(plan)
    orphan = harness.begun("train").pid
    kill(parent(parent(orphan)))
    assert alive(orphan)

    assert backend.submit(plan) == "continued"

    assert not alive(orphan)
    harness.begun("train", times=2)
    backend.cancel(plan.run)


def test_a_submit_while_the_supervisor_is_ended_goes_on_after_it(harness: LocalHarness) -> None:
    (harness.control / "deaf-train").touch()
    run = harness.held_in_train()
    os.kill(harness.supervisor(run), signal.SIGTERM)
    until((harness.state / "runs" / run / "cancel").exists, "the supervisor stops the run")
    harness.release("train")

    harness.backend.submit(harness.plan())

    assert harness.ended(run).state is State.SUCCEEDED


def test_a_submit_during_a_cancel_goes_on_after_it(harness: LocalHarness) -> None:
    run = harness.held_in_train()
    harness.release("train")
    harness.hold("evaluate-el")
    harness.begun("evaluate-el")
    (harness.state / "runs" / run / "cancel").touch()

    assert harness.backend.submit(harness.plan()) == "continued"

    harness.begun("evaluate-el", times=2)
    harness.release("evaluate-el")
    assert harness.ended(run).state is State.SUCCEEDED


def test_the_run_outlives_the_shell_that_submitted_it(
    harness: LocalHarness, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.harness.local import COMMAND, LocalHarness\n"
        "from jobrunner.backends.local.backend import LocalBackend\n"
        "control, storage, state = map(Path, sys.argv[2:])\n"
        "harness = LocalHarness(\n"
        "    backend=LocalBackend(state, command=COMMAND),\n"
        "    control=control, storage=storage, state=state,\n"
        ")\n"
        "print(harness.backend.submit(harness.plan()))\n"
    )
    harness.hold("train")
    shell = subprocess.Popen(
        [
            *(sys.executable, "-c", code, str(ROOT)),
            *map(str, (harness.control, harness.storage, harness.state)),
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=tmp_path,
    )
    # Reading to the end returns only if the run holds no end of the shell's pipe.
    assert shell.communicate(timeout=60)[0] == b"created\n"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGHUP)

    harness.begun("train")
    harness.release("train")
    assert harness.ended(harness.plan().run).state is State.SUCCEEDED


def test_a_module_in_the_users_folder_is_not_imported_by_accident(
    harness: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pydantic.py").write_text("raise RuntimeError('imported by accident')")
    monkeypatch.chdir(tmp_path)
    plan = harness.plan()

    harness.backend.submit(plan)

    assert harness.ended(plan.run).state is State.SUCCEEDED
