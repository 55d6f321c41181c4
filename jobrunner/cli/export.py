"""`jobrunner export`."""

from __future__ import annotations

from pathlib import Path

import click

from jobrunner.cli.output import escape, out, say
from jobrunner.cli.select import Place, complete_run, place_options, recorded
from jobrunner.cli.space import size as shown


@click.command(
    epilog="""\b
Examples:
  jobrunner export @latest ./greek
  jobrunner export el-whisper-small-1f6e09ab ~/models/greek
  jobrunner export el-whisper ./greek --storage s3://speech/runs
"""
)
@click.argument("run", metavar="RUN", shell_complete=complete_run)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--storage", metavar="URL", help="Where the run is, if submitted elsewhere.")
@place_options
def command(run: str, folder: Path, storage: str | None, place: Place) -> None:
    """Copy the fine-tuned model of a run to a folder.

    Every file is verified against the manifest in storage; a copy that was interrupted continues
    with what is missing. DIR is created if it is missing. RUN is a run's id, its start or @latest.
    """
    from jobrunner.runner.export import export

    record = recorded(run, storage, place)
    done = export(record, folder, before_file=_announce)
    kept = f"; {done.copied.kept} were there already" if done.copied.kept else ""
    say(f"{done.copied.fetched} files of {record.run} were copied and verified{kept}.")
    out(str(done.folder))
    say(str(done.usage))


def _announce(name: str, size: int) -> None:
    say(f"{escape(name)}, {shown(size)}")
