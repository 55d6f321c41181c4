"""A file system of two megabytes, for what happens when it is full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.harness.paths import ROOT


def run_on_small_disk(script: str, place: Path, *arguments: Path) -> Any:
    """Runs a script with a small file system of its own, and gives the JSON that it printed.

    Args:
        script: finds the file system as its first argument, and the others after it.
        place: an empty folder, where the script alone sees the file system.
        arguments: the others.
    """
    place.mkdir()
    # A mount of one's own needs no rights beyond those to be root in a namespace of one's own.
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(place)]
    done = subprocess.run(
        [*command, sys.executable, "-c", script, str(place), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
