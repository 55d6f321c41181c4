"""What only a terminal sees: colours, folded lines, questions, a picture that is repainted."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.harness.commandline import CliHarness

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def colourful(here: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 60 columns that shows colours."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")


def _on_terminal(
    *arguments: str, answer: str = "", seeing: Callable[[str], object] = lambda seen: None
) -> tuple[int, str]:
    """Exit code of a command on a terminal of its own, and all that the terminal got.

    Args:
        arguments: what is typed after `jobrunner`.
        answer: what is typed when it has started.
        seeing: called with what was seen so far, each time that there is more.
    """
    ours, theirs = pty.openpty()
    seen = b""
    with subprocess.Popen(
        [sys.executable, "-m", "jobrunner", *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, answer.encode())
        while True:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            seeing(seen.decode(errors="replace"))
    os.close(ours)
    return process.returncode, seen.decode()


def test_a_followed_run_is_repainted_in_colours(harness: CliHarness) -> None:
    run = harness.start(hold="evaluate-el")
    hold = harness.control / "hold-evaluate-el"

    def release(seen: str) -> None:
        if "evaluate-el" in seen:
            hold.unlink(missing_ok=True)

    code, seen = _on_terminal("status", "--follow", run, seeing=release)
    assert code == 0
    assert "\x1b[32mSucceeded" in seen
    assert re.search(r"\x1b\[\d*A", seen), "the cursor goes up to paint over what was there"


def test_a_plan_is_folded_to_the_terminal() -> None:
    code, seen = _on_terminal("submit", "--lang", "el", "--storage", "s3://x-y/z", "--dry-run")
    assert code == 0
    assert "\x1b[1mrun" in seen
    lines = [COLOUR.sub("", line) for line in seen.splitlines()]
    assert max(map(len, lines)) <= 60
    assert any(line.startswith(" " * 10) for line in lines)


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "dumb")
    assert "\x1b" not in _on_terminal("submit", "--lang", "xx")[1]


def test_delete_asks_first(harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    code, seen = _on_terminal("delete", run, answer="n\n")
    assert code == 0
    assert f"Delete {run} (Succeeded)?" in seen
    assert "Nothing was deleted." in seen
    assert harness.runner.status(run).state == "Succeeded"
    assert _on_terminal("delete", run, answer="y\n")[0] == 0
    assert harness.runner.list() == []


def test_a_diff_that_is_too_wide_for_three_columns_has_three_lines_a_field(
    harness: CliHarness,
) -> None:
    first, second = harness.start("el"), harness.start("sw")
    code, seen = _on_terminal("diff", first, second)
    assert code == 0
    lines = [COLOUR.sub("", line) for line in seen.splitlines()]
    at = lines.index("lang")
    assert lines[at + 1 : at + 3] == [f"  {first}  el", f"  {second}  sw"]
    assert max(map(len, lines)) <= 60
