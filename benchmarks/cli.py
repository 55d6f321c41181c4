"""How long commands take to start, over an empty Python, all in one run.

    .venv/bin/python benchmarks/cli.py

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
}
# Seconds over an empty Python that a command may take.
TARGETS = {"jobrunner --help": 0.15, "jobrunner submit --dry-run": 0.5}


def seconds(command: tuple[str, ...], folder: str) -> float:
    """Wall time of one start."""
    environment = {**os.environ, "HOME": folder, "JOBRUNNER_STATE": folder}
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    return time.perf_counter() - started


def main() -> None:
    """Prints a table in Markdown."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
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
