"""`jobrunner export`."""

from __future__ import annotations

from pathlib import Path

import click

from jobrunner.cli.output import escape, out, say
from jobrunner.cli.select import Place, complete_run, find, place_options, reader
from jobrunner.cli.space import size as shown


@click.command(
    epilog="""\b
Examples:
  jobrunner export @latest ./greek
  jobrunner export el-whisper-small-1f6e09ab ~/models/greek
"""
)
@click.argument("run", metavar="RUN", shell_complete=complete_run)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@place_options
def command(run: str, folder: Path, place: Place) -> None:
    """Copy the fine-tuned model of a run to a folder.

    Every file is verified against the manifest in storage; a copy that was interrupted continues
    with what is missing. DIR is created if it is missing. RUN is a run's id, its start or @latest.
    """
    from jobrunner.runner.export import export

    runner = reader(place)
    wanted = find(runner, run)
    done = export(runner.record(wanted), folder, before_file=_announce)
    kept = f"; {done.copied.kept} were there already" if done.copied.kept else ""
    say(f"{done.copied.fetched} files of {wanted} were copied and verified{kept}.")
    out(str(done.folder))
    say(str(done.usage))


def _announce(name: str, size: int) -> None:
    say(f"{escape(name)}, {shown(size)}")
