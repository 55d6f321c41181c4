"""What an attempt leaves in storage, and what it finds of those before it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobrunner.core.attempt import archive
from jobrunner.core.attempt.archive import cause_of_last_end
from jobrunner.errors import Interrupted, StorageError
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.builders import LoggedContext
from tests.harness.fragile import FragileStorage


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., LoggedContext]:
    def make(name: str = "z") -> LoggedContext:
        spec = builders.spec(storage=str(tmp_path / "storage"))
        return builders.stage_context(spec, tmp_path / "scratch", attempt=name)

    return make


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "stage.log"
    path.write_text("12:00:00 what it said\n")
    return path


def age(root: Path, key: str) -> None:
    """As if an object had been written a minute ago."""
    then = time.time() - 60
    os.utime(root / "storage" / key, (then, then))


def test_why_the_last_attempt_ended_is_read_from_its_exit_code(
    attempt: Callable[..., LoggedContext], log: Path, tmp_path: Path
) -> None:
    context = attempt()

    def cause() -> str:
        return cause_of_last_end(context, "train")

    assert cause() == "killed"
    archive.store(attempt("a"), "train", log, Interrupted.exit_code)
    assert cause() == "stopped"
    age(tmp_path, keys.end_file(context.run, "train", "a"))
    archive.store(attempt("b"), "train", log, 1)
    assert cause() == "failed"
    context.storage.write(f"{keys.checkpoint_prefix(context.run, 10)}COMMIT", b"b")
    age(tmp_path, keys.end_file(context.run, "train", "b"))
    # It came further than the attempts that could say how they ended.
    assert cause() == "killed"


@pytest.mark.parametrize("left", [b"", b"[]", b"{}", b'{"exit_code": null}'])
def test_an_end_that_says_nothing_was_a_kill(
    attempt: Callable[..., LoggedContext], left: bytes
) -> None:
    context = attempt()
    context.storage.write(keys.end_file(context.run, "train", "a"), left)
    assert cause_of_last_end(context, "train") == "killed"


def test_the_log_and_the_exit_code_lie_side_by_side(
    attempt: Callable[..., LoggedContext], log: Path
) -> None:
    context = attempt("a")
    archive.store(context, "evaluate-el", log, 65)
    prefix = keys.logs_prefix(context.run, "evaluate-el")
    found = {entry.key.removeprefix(prefix) for entry in context.storage.list(prefix)}
    assert found == {"a.log", "a.json"}
    stored = context.storage.read(keys.log_file(context.run, "evaluate-el", "a"))
    assert stored == log.read_bytes()


def test_a_log_that_cannot_be_stored_fails_no_stage(tmp_path: Path, log: Path) -> None:
    away = FragileStorage(
        LocalStorage(tmp_path / "storage"), at=0, error=lambda: StorageError("no answer")
    )
    context = builders.stage_context(builders.spec(), tmp_path / "scratch", storage=away)
    archive.store(context, "train", log, 0)
    assert context.lines == ["the log is not in storage: no answer"]


def test_what_a_stage_says_is_kept_beside_what_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with archive.kept(tmp_path / "copy"):
        sys.stdout.write("out\n")
        sys.stderr.write("error: Ελλάδα\n")
    sys.stdout.write("later\n")
    assert (tmp_path / "copy").read_text() == "out\nerror: Ελλάδα\n"
    assert capsys.readouterr() == ("out\nlater\n", "error: Ελλάδα\n")
