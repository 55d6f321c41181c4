"""`jobrunner cancel`."""

from __future__ import annotations

import click

from jobrunner.cli.output import out, say
from jobrunner.cli.select import Place, complete_run, find_each, place_options, reader


@click.command(
    epilog="""\b
Examples:
  jobrunner cancel @latest
  jobrunner cancel el-whisper-small-1f6e09ab
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@place_options
def command(runs: tuple[str, ...], place: Place) -> None:
    """Stop a run; its checkpoints and results stay.

    `jobrunner resume RUN` continues it from its last checkpoint.
    """
    runner = reader(place)
    for run in find_each(runner, runs):
        state = runner.status(run).state
        if state.ended:
            say(f"{run} has already ended: {state.lower()}.")
            continue
        say(f"Stopping {run}: it saves first, which may take half a minute.")
        runner.cancel(run)
        out(run)
        say(f"Cancelled. `jobrunner resume {run}` continues it from its last checkpoint.")
