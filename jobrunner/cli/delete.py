"""`jobrunner delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobrunner.cli.output import escape, out, say
from jobrunner.cli.select import Place, complete_run, find_each, place_options, reader
from jobrunner.cli.space import STAYS, agreed, described, open_storage

if TYPE_CHECKING:
    from jobrunner.runner.api import Runner
    from jobrunner.runner.space.view import StorageView

UNDONE = "Nothing was deleted."


@click.command(
    epilog="""\b
Examples:
  jobrunner delete el-whisper-small-1f6e09ab
  jobrunner delete -y el-whisper-small-1f6e09ab
  jobrunner delete --purge --dry-run el-whisper-small-1f6e09ab
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run)
@click.option("--purge", is_flag=True, help="Also remove all that the run has in storage.")
@click.option("--storage", metavar="URL", help="With --purge: where a forgotten run's objects are.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nothing is asked.")
@place_options
def command(
    runs: tuple[str, ...], purge: bool, storage: str | None, dry_run: bool, yes: bool, place: Place
) -> None:
    """Forget a run; its checkpoints and results stay.

    A live run is cancelled first. Storage is not touched: `report` still shows the results, and
    submitting the run again resumes from its last checkpoint.

    With --purge, its checkpoints, export, results and logs are removed from storage too, and
    cannot be had back. Prepared data and base models stay. A live run is not purged. A run that
    was forgotten before is looked for in --storage, or the configured storage.
    """
    if storage and not purge:
        raise click.UsageError("--storage goes with --purge.")
    runner = reader(place)
    for run in find_each(runner, runs):
        if purge:
            _purge(runner, run, storage, dry_run=dry_run, yes=yes)
        else:
            _forget(runner, run, dry_run=dry_run, yes=yes)


def _forget(runner: Runner, run: str, *, dry_run: bool, yes: bool) -> None:
    status = runner.status(run)
    kept = f"checkpoints and results stay in {escape(status.storage) or 'its storage'}."
    if dry_run:
        say(f"{run} ({status.state}) would be forgotten. Its {kept}")
    elif agreed(f"Delete {run} ({status.state})?", yes=yes, otherwise=UNDONE):
        runner.delete(run)
        out(run)
        say(f"Deleted. Its {kept}")


def _purge(runner: Runner, run: str, url: str | None, *, dry_run: bool, yes: bool) -> None:
    view = _opened(url)
    elsewhere = view.storage if view else None
    removal = runner.removal(run, storage=elsewhere)
    say(f"{run} has in {escape(removal.storage.url)}: {described(removal)}.")
    if dry_run:
        say(f"All of it would be removed. {STAYS}")
    elif agreed(f"Delete {run} and all of this for good?", yes=yes, otherwise=UNDONE):
        runner.purge(run, storage=elsewhere)
        out(run)
        say(f"Deleted. {STAYS}")


def _opened(url: str | None) -> StorageView | None:
    """The storage to look for forgotten runs in; None if none was named and none is there."""
    from jobrunner.errors import UsageError

    try:
        return open_storage(url)
    except UsageError:
        if url:
            raise
        return None
