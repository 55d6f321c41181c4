"""The command line on a terminal of its own, with somebody who types."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """What a terminal showed, and the exit code of the command."""

    code: int
    screen: str


def on_terminal(*arguments: str, typed: str = "", columns: int = 80) -> Session:
    """Runs `jobrunner` on a terminal until it ends.

    Args:
        arguments: arguments after `jobrunner`.
        typed: what somebody types; the terminal holds it until it is asked for.
        columns: width of the terminal.
    """
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (40, columns))
    process = subprocess.Popen(
        [sys.executable, "-m", "jobrunner", *arguments], stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    os.write(ours, typed.encode())
    screen = b""
    # Linux answers with an error when the last process has closed the terminal.
    with suppress(OSError):
        while piece := os.read(ours, 4096):
            screen += piece
    code = process.wait()
    os.close(ours)
    return Session(code, screen.decode().replace("\r\n", "\n"))
