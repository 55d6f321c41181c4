"""`jobrunner prune`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jobrunner.cli.options import Finite
from jobrunner.cli.output import out, say, warn
from jobrunner.cli.select import Place, place_options, reader
from jobrunner.cli.space import agreed, counted, described, size
from jobrunner.errors import JobrunnerError

if TYPE_CHECKING:
    from jobrunner.runner.api import Runner
    from jobrunner.runner.space.free import Removal
    from jobrunner.states import RunStatus

SECONDS_A_DAY = 86_400


@click.command(
    epilog="""\b
Examples:
  jobrunner prune --older-than 30
  jobrunner prune --older-than 7 --dry-run
  jobrunner prune --checkpoints
"""
)
@click.option(
    "--older-than",
    type=Finite(min=0),
    metavar="DAYS",
    help="Only runs that were submitted this many days ago; needed without --checkpoints.",
)
@click.option(
    "--checkpoints", is_flag=True, help="Remove checkpoints instead; the runs stay known."
)
@click.option(
    "--unfinished",
    is_flag=True,
    help="With --checkpoints: also of runs without an export, which then start over.",
)
@click.option("--dry-run", is_flag=True, help="Print the runs and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nothing is asked.")
@place_options
def command(
    older_than: float | None,
    checkpoints: bool,
    unfinished: bool,
    dry_run: bool,
    yes: bool,
    place: Place,
) -> None:
    """Forget runs that ended long ago; their checkpoints and results stay.

    With --checkpoints, no run is forgotten: the checkpoints of ended runs are removed from
    storage; exports, results and logs stay. Live runs are left alone in any case.
    """
    if older_than is None and not checkpoints:
        raise click.UsageError("give --older-than DAYS, or --checkpoints.")
    if unfinished and not checkpoints:
        raise click.UsageError("--unfinished goes with --checkpoints.")
    runner = reader(place)
    oldest = time.time() - (older_than or 0.0) * SECONDS_A_DAY
    found = [run for run in runner.list() if run.state.ended and run.submitted < oldest]
    if checkpoints:
        _free(runner, found, unfinished=unfinished, dry_run=dry_run, yes=yes)
    else:
        _forget(runner, found, dry_run=dry_run, yes=yes)


def _forget(runner: Runner, found: list[RunStatus], *, dry_run: bool, yes: bool) -> None:
    if dry_run or not found:
        for status in found:
            out(status.run)
        say(f"{len(found)} {'would be' if dry_run else 'are'} forgotten.")
        return
    for status in found:
        say(f"  {status.run} ({status.state})")
    if agreed(f"Forget {counted(len(found), 'run')}? Storage is not touched.", yes=yes):
        for status in found:
            runner.delete(status.run)
            out(status.run)
        say(f"{len(found)} are forgotten.")


def _free(
    runner: Runner, found: list[RunStatus], *, unfinished: bool, dry_run: bool, yes: bool
) -> None:
    failures: list[JobrunnerError] = []
    removals = _removals(runner, found, failures, unfinished=unfinished)
    total = size(sum(removal.size for removal in removals))
    for removal in removals:
        alone = "" if removal.exported else "; without an export, it starts over"
        say(f"  {removal.run}: {described(removal)}{alone}")
    objects = counted(sum(len(removal.entries) for removal in removals), "object")
    freed = f"{objects} of {counted(len(removals), 'run')}, {total}"
    if not removals:
        say("There are no checkpoints to remove.")
    elif dry_run:
        out("\n".join(removal.run for removal in removals))
        say(f"Would be removed: {freed}.")
    elif agreed(f"Remove {freed}, for good?", yes=yes):
        for removal in removals:
            with _failing(removal.run, failures):
                # Looked at once more: it may have been submitted again meanwhile.
                runner.checkpoints(removal.run).carry_out()
                out(removal.run)
        say("Removed." if failures else f"Removed: {freed}.")
    if failures:
        raise failures[0]


def _removals(
    runner: Runner, found: list[RunStatus], failures: list[JobrunnerError], *, unfinished: bool
) -> list[Removal]:
    removals = []
    for status in found:
        with _failing(status.run, failures):
            removal = runner.checkpoints(status.run)
            if removal.entries and not (removal.exported or unfinished):
                say(
                    f"  {status.run} is left out ({described(removal)}): it has no export, "
                    "and would start over. --unfinished includes it."
                )
            elif removal.entries:
                removals.append(removal)
    return removals


@contextmanager
def _failing(run: str, failures: list[JobrunnerError]) -> Iterator[None]:
    """Warns of an error about one run and keeps it, so that the others are looked at too."""
    try:
        yield
    except JobrunnerError as error:
        warn(f"{run} is left out: {error}")
        failures.append(error)
