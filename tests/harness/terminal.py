"""Commands on a terminal of their own, of any width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable
from typing import NamedTuple

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
# What Rich writes before it paints over the last picture.
REPAINT = re.compile(r"\x1b\[2K|\x1b\[\d*A")


class Session(NamedTuple):
    """The exit code of a command, and all that its terminal got."""

    code: int
    screen: str


def on_terminal(
    *arguments: str,
    answer: str = "",
    columns: int = 80,
    seeing: Callable[[str], object] = lambda seen: None,
    stop: Callable[[str], bool] = lambda seen: False,
) -> Session:
    """Runs `jobrunner` on a terminal of its own until it ends.

    Args:
        arguments: what is typed after `jobrunner`.
        answer: what is typed when it has started.
        columns: width of the terminal.
        seeing: called with what was seen so far, each time that there is more.
        stop: says, of what was seen so far, whether Ctrl-C is typed.
    """
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    termios.tcsetwinsize(theirs, (50, columns))
    seen, stopped = b"", False
    with subprocess.Popen(
        [sys.executable, "-m", "jobrunner", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        os.write(ours, answer.encode())
        while True:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            seeing(seen.decode(errors="replace"))
            if not stopped and stop(seen.decode(errors="replace")):
                stopped = True
                os.write(ours, b"\x03")
    os.close(ours)
    return Session(process.returncode, seen.decode().replace("\r\n", "\n"))


def pictures(seen: str) -> list[str]:
    """What the terminal showed, one text for each time that it was repainted, without colours."""
    return [CONTROL.sub("", part) for part in REPAINT.split(seen)]


def shown(seen: str) -> list[str]:
    """All lines that the terminal got, without colours."""
    return CONTROL.sub("", seen).splitlines()
