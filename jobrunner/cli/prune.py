"""`jobrunner prune`."""

from __future__ import annotations

import time

import click

from jobrunner.cli.options import Finite
from jobrunner.cli.output import out, say
from jobrunner.cli.select import Place, place_options, reader

SECONDS_A_DAY = 86_400


@click.command(
    epilog="""\b
Examples:
  jobrunner prune --older-than 30
  jobrunner prune --older-than 7 --dry-run
"""
)
@click.option(
    "--older-than",
    type=Finite(min=0),
    required=True,
    metavar="DAYS",
    help="Only runs that were submitted more than DAYS days ago.",
)
@click.option("--dry-run", is_flag=True, help="Print the runs and stop.")
@place_options
def command(older_than: float, dry_run: bool, place: Place) -> None:
    """Forget runs that ended long ago; their checkpoints and results stay.

    Live runs are left alone, and so is storage.
    """
    runner = reader(place)
    oldest = time.time() - older_than * SECONDS_A_DAY
    old = [run for run in runner.list() if run.state.ended and run.submitted < oldest]
    for status in old:
        if not dry_run:
            runner.delete(status.run)
        out(status.run)
    runs = f"{len(old)} run{'s' * (len(old) != 1)}"
    say(f"Would forget {runs}." if dry_run else f"Forgot {runs}.")
