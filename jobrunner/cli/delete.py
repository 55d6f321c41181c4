"""`jobrunner delete`."""

from __future__ import annotations

import sys

import click

from jobrunner.cli.output import out, say
from jobrunner.cli.select import Place, complete_run, find_each, place_options, reader


@click.command(
    epilog="""\b
Examples:
  jobrunner delete el-whisper-small-1f6e09ab
  jobrunner delete -y el-whisper-small-1f6e09ab
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nothing is asked.")
@place_options
def command(runs: tuple[str, ...], yes: bool, place: Place) -> None:
    """Forget a run; its checkpoints and results stay.

    A live run is cancelled first. Storage is not touched: `report` still shows the results, and
    submitting the run again resumes from its last checkpoint.
    """
    runner = reader(place)
    for run in find_each(runner, runs):
        status = runner.status(run)
        asked = not yes and sys.stdin.isatty() and sys.stderr.isatty()
        if asked and not click.confirm(f"Delete {run} ({status.state})?", err=True):
            say("Nothing was deleted.")
            continue
        runner.delete(run)
        out(run)
        say(f"Deleted. Its checkpoints and results stay in {status.storage or 'its storage'}.")
