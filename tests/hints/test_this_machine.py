"""What is wrong with this machine, its processes or its records, repaired as the hints say."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobrunner.backends import resubmit
from jobrunner.backends.local import backend, gpus, launch
from jobrunner.backends.local.folder import RunFolder
from jobrunner.core.checkpoint.claim import Claim
from jobrunner.errors import JobrunnerError, SpecError, Superseded, UsageError
from jobrunner.spec.record import new_record
from jobrunner.states import State
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.backends.local.conftest import harness
from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.harness.hints import assert_hint, hinted
from tests.harness.local import LocalHarness
from tests.hints.case import PLACE, without

__all__ = ["harness", "here", "jobrunner"]

HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def _machine(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Puts a program on the PATH that answers as nvidia-smi."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    if not os.environ["PATH"].startswith(str(folder)):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


ONE = "echo 'GPU-a, NVIDIA L4'"
GPU = without("--device")


def test_a_driver_that_hangs_is_looked_at_or_left(
    jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "SECONDS_TO_ANSWER", 0.3)
    typed = ("submit", "--lang", "el", "--model", "whisper-tiny", "--local", "--dry-run", *PLACE)
    _machine(here, monkeypatch, "exec sleep 5")
    answer = jobrunner(*typed)
    assert_hint("Look at the GPU driver, or use --device cpu.", answer.err)
    assert jobrunner(*typed, "--device", "cpu").code == 0
    monkeypatch.setattr(gpus, "SECONDS_TO_ANSWER", 30)
    _machine(here, monkeypatch, ONE)
    assert jobrunner(*typed).code == 0


def test_fewer_gpus_are_asked_for(
    jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(here, monkeypatch, ONE)
    typed = ("submit", "--lang", "el", "--model", "whisper-tiny", "--local", "--dry-run", *PLACE)
    answer = jobrunner(*typed, "--gpus", "2")
    assert_hint("Use --device cpu to train on the CPU, or --gpus 1 for fewer.", answer.err)
    assert jobrunner(*typed, "--gpus", "1").code == 0
    assert jobrunner(*typed, "--device", "cpu").code == 0


def test_a_storage_is_named(harness: LocalHarness) -> None:
    with hinted("Name a folder with --storage.", SpecError):
        harness.backend.submit(harness.plan(storage=""))
    plan = harness.plan()
    harness.backend.submit(plan)
    assert harness.ended(plan.run).state is State.SUCCEEDED


def test_a_supervisor_that_did_not_start_left_a_log(
    harness: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'error: no such module.' >&2\nexit 1\n")
    broken.chmod(0o755)
    plan = harness.plan()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(broken))
        with pytest.raises(JobrunnerError, match="did not start") as caught:
            harness.backend.submit(plan)
    assert_hint("See {}.", caught.value.hint)
    log = Path(caught.value.hint.removeprefix("See ").removesuffix("."))
    assert "no such module" in log.read_text()
    harness.backend.submit(plan)
    assert harness.ended(plan.run).state is State.SUCCEEDED


def test_a_supervisor_that_does_not_stop_has_a_log(
    harness: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.held_in_train()
    supervisor = harness.supervisor(run)
    os.kill(supervisor, signal.SIGSTOP)
    monkeypatch.setattr(backend, "TIME_TO_STOP", -4.5)
    try:
        with pytest.raises(JobrunnerError, match="did not stop") as caught:
            harness.backend.cancel(run)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert_hint("See {}.", caught.value.hint)
    assert Path(caught.value.hint.removeprefix("See ").removesuffix(".")).is_file()
    monkeypatch.undo()
    harness.backend.cancel(run)
    assert harness.backend.status(run).state is State.CANCELLED


def _holders(path: Path) -> set[int]:
    """Processes that have a file open, as fuser shows them."""
    found = set()
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if handle.samefile(path):
                found.add(int(handle.parts[2]))
        except OSError:
            continue
    return found


def test_a_process_that_does_not_end_is_found_and_ended(
    harness: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = harness.plan()
    lock = RunFolder(harness.state, plan.run).processes_lock
    lock.parent.mkdir(parents=True)
    for name in ("TIME_TO_VANISH", "TIME_TO_DIE"):
        monkeypatch.setattr(launch, name, 0.1)
    command = [sys.executable, "-S", "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(JobrunnerError, match="does not end") as caught:
            harness.backend.submit(plan)
        assert_hint("`fuser {}` shows it.", caught.value.hint)
        shown = _holders(Path(caught.value.hint.split("`")[1].split()[1]))
        assert shown == {holder.pid}
        os.kill(shown.pop(), signal.SIGKILL)
    harness.backend.submit(plan)
    assert harness.ended(plan.run).state is State.SUCCEEDED


def test_a_record_that_cannot_be_read_is_deleted_and_its_run_submitted_again(
    harness: LocalHarness,
) -> None:
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.ended(plan.run)
    (harness.state / "runs" / plan.run / "record.json").write_text('{"submitted": ')
    hint = harness.backend.status(plan.run).reason
    assert_hint(
        "`jobrunner delete {}` forgets the run; submit it again to continue from what is in "
        "storage.",
        hint,
    )
    harness.backend.delete(plan.run)
    assert harness.backend.submit(plan) == "created"
    assert harness.ended(plan.run).state is State.SUCCEEDED


@pytest.mark.parametrize("way", ["that one", "delete", "again"])
@pytest.mark.parametrize("live", [True, False])
def test_a_run_keeps_its_storage_until_a_person_lets_go_of_it(
    harness: LocalHarness, tmp_path: Path, way: str, live: bool
) -> None:
    run = harness.held_in_train()
    if not live:
        harness.backend.cancel(run)
    there = str(tmp_path / "other")
    asked = harness.plan(storage=there)
    with pytest.raises(UsageError) as caught:
        harness.backend.submit(asked)
    assert_hint(
        "Use that, or `jobrunner delete {}` first, which {}leaves its storage as it is, or add "
        "--again {} for another run.",
        caught.value.hint,
    )
    assert ("cancels it" in caught.value.hint) == live
    harness.release("train")
    if way == "delete":
        harness.backend.delete(run)
    else:
        again = harness.plan(storage=there, again=1)
        asked = harness.plan() if way == "that one" else again
    harness.backend.submit(asked)
    assert harness.ended(asked.run).state is State.SUCCEEDED
    assert (asked.run == run) == (way != "again")


def test_two_specs_whose_ids_are_equal_by_chance() -> None:
    asked = new_record(builders.spec())
    other = dataclasses.replace(asked, digest=asked.digest[:8] + "0" * 56)
    with hinted("Give --again 1 for an id of its own.", UsageError):
        resubmit.check(asked, other, live=False)
    again = new_record(builders.spec(again=1))
    assert again.run != other.run


def test_the_attempt_that_took_over_is_the_one_that_status_shows(
    harness: LocalHarness, tmp_path: Path
) -> None:
    run = harness.held_in_train()
    storage = LocalStorage(tmp_path / "claims")
    old, new = Claim(storage, run, "old"), Claim(storage, run, "new")
    old.take()
    new.take()
    with hinted("`jobrunner status {}` shows it.", Superseded):
        old.check()
    new.check()
    shown = harness.backend.status(run)
    assert shown.state is State.RUNNING
    harness.release("train")
    assert harness.ended(run).state is State.SUCCEEDED
