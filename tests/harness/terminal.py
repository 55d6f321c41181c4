"""Commands on a terminal of their own, of any width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
# What Rich writes before it paints over the last picture.
REPAINT = re.compile(r"\x1b\[2K|\x1b\[\d*A")


def on_terminal(
    *arguments: str,
    answer: str = "",
    columns: int = 0,
    seeing: Callable[[str], object] = lambda seen: None,
    stop: Callable[[str], bool] = lambda seen: False,
) -> tuple[int, str]:
    """Exit code of a command on a terminal of its own, and all that the terminal got.

    Args:
        arguments: what is typed after `jobrunner`.
        answer: what is typed when it has started.
        columns: width of the terminal; 0 leaves what the environment says.
        seeing: called with what was seen so far, each time that there is more.
        stop: says, of what was seen so far, whether Ctrl-C is typed.
    """
    ours, theirs = pty.openpty()
    environment = dict(os.environ)
    if columns:
        environment.pop("COLUMNS", None)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
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
    return process.returncode, seen.decode()


def pictures(seen: str) -> list[str]:
    """What the terminal showed, one text for each time that it was repainted, without colours."""
    return [CONTROL.sub("", part) for part in REPAINT.split(seen)]


def shown(seen: str) -> list[str]:
    """All lines that the terminal got, without colours."""
    return CONTROL.sub("", seen).splitlines()
