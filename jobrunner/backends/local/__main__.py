"""`python -m jobrunner.backends.local STATE RUN FD FD FD`: the supervisor of a run, detached.

A submit starts it with the run's locks open (launch.py). It leaves its parent before it imports
anything large, so the submit waits only a few milliseconds.
"""

from __future__ import annotations

import os
import sys


def main(state: str, run: str, own: str, shared: str, place: str) -> None:
    """Runs the supervisor in a child process; the parent exits at once."""
    if os.fork():
        os._exit(0)
    from pathlib import Path

    from jobrunner.backends.local.folder import RunFolder
    from jobrunner.backends.local.locks import Lock
    from jobrunner.backends.local.supervisor import Supervisor

    for fd in (own, shared, place):
        os.set_inheritable(int(fd), False)
    Supervisor(
        RunFolder(Path(state), run),
        own=Lock(int(own)),
        shared=Lock(int(shared)),
        place=Lock(int(place)),
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
