"""How long commands take to start, over an empty Python, all in one run.

    .venv/bin/python benchmarks/cli.py

`list` and `status` have one run to show. Bytecode is cached as it is for a user, whatever
PYTHONDONTWRITEBYTECODE says here: without it each start compiles the project anew.

Each command is started in turn with the others, so that a busy moment meets them all; the
fastest of 15 is what the machine can do, the median what a user feels.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
S3 = ("--storage", "s3://speech/runs")
JOBRUNNER = (sys.executable, "-m", "jobrunner")
EMPTY = "python -c pass"
COMMANDS = {
    EMPTY: (sys.executable, "-c", "pass"),
    "jobrunner --help": (*JOBRUNNER, "--help"),
    "jobrunner submit --help": (*JOBRUNNER, "submit", "--help"),
    "jobrunner submit --dry-run": (*JOBRUNNER, "submit", "--lang", "el", *S3, "--dry-run"),
    "jobrunner render": (*JOBRUNNER, "render", "--lang", "el", *S3),
    "jobrunner list": (*JOBRUNNER, "list"),
    "jobrunner status": (*JOBRUNNER, "status"),
}
# Seconds over an empty Python that a command may take.
TARGETS = {
    "jobrunner --help": 0.15,
    "jobrunner submit --dry-run": 0.35,
    "jobrunner list": 0.25,
    "jobrunner status": 0.25,
}
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def start(command: tuple[str, ...], folder: str) -> str:
    """Starts a command, waits for its end, and returns what it prints."""
    environment = {**os.environ, "HOME": folder, "JOBRUNNER_STATE": f"{folder}/state"}
    environment |= {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=folder, env=environment
    )
    return done.stdout.strip()


def seconds(command: tuple[str, ...], folder: str) -> float:
    """Wall time of one start."""
    started = time.perf_counter()
    start(command, folder)
    return time.perf_counter() - started


def make_a_run(folder: str) -> None:
    """Starts a run and stops it, for commands that look at one."""
    data = ("--model", str(EXAMPLES / "whisper-micro"), "--data", f"folder:{EXAMPLES / 'speech'}")
    options = ("--local", "--device", "cpu", "--lang", "el", "--storage", f"{folder}/storage")
    start((*JOBRUNNER, "cancel", start((*JOBRUNNER, "submit", *options, *data), folder)), folder)


def main() -> None:
    """Prints a table in Markdown."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        make_a_run(folder)
        for command in COMMANDS.values():
            seconds(command, folder)  # compiles and caches
        for _ in range(ROUNDS):
            for name, command in COMMANDS.items():
                times[name].append(seconds(command, folder))
    print("| command | fastest, s | over empty, s | median, s | over empty, s | target, s |")
    print("|---|---|---|---|---|---|")
    empty = times[EMPTY]
    for name, found in times.items():
        fastest, median = min(found), statistics.median(found)
        row = (fastest, fastest - min(empty), median, median - statistics.median(empty))
        target = f"{TARGETS[name]:.2f}" if name in TARGETS else ""
        print(f"| `{name}` | {' | '.join(f'{each:.3f}' for each in row)} | {target} |")


if __name__ == "__main__":
    main()
