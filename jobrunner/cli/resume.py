"""`jobrunner resume`."""

from __future__ import annotations

from typing import Any

import click

from jobrunner.cli.output import out, say
from jobrunner.cli.select import (
    Place,
    complete_run,
    find_each,
    namespace_option,
    place_options,
    reader,
)
from jobrunner.cli.submit import start, start_options


@click.command(
    epilog="""\b
Examples:
  jobrunner resume @latest --follow
  jobrunner resume el-whisper-small-1f6e09ab
"""
)
@click.argument("run", metavar="RUN", shell_complete=complete_run)
@start_options
@place_options
def command(run: str, place: Place, dry_run: bool, **waiting: Any) -> None:
    """Continue a run that failed, stopped or was cancelled.

    Submits it again exactly as it was recorded: stages that succeeded are not repeated, and
    training continues from its last checkpoint. A run that succeeded is continued only if storage
    has lost its model. RUN is a run's id, its start or @latest.
    """
    from jobrunner.runner import api

    runner = reader(place)
    [wanted] = find_each(runner, [run])
    record, status = runner.recorded(wanted), runner.status(wanted)
    if status.state == "Succeeded" and not runner.lost(wanted):
        options = namespace_option(place.namespace)
        say(f"{wanted} has already succeeded; there is nothing to resume.")
        out(wanted)
        say(f"  jobrunner report{options} {wanted}")
        return
    backend = status.backend
    starter = api.open_runner(backend, namespace=record.spec.cluster.namespace)
    start(record, None if dry_run else starter, backend=backend, **waiting)
