"""`jobrunner logs`."""

from __future__ import annotations

import click

from jobrunner.cli.output import escape, out, paint, say
from jobrunner.cli.select import Place, complete_run, find, namespace_option, place_options, reader
from jobrunner.errors import Detached


@click.command(
    epilog="""\b
Examples:
  jobrunner logs -f
  jobrunner logs el-whisper-small-1f6e09ab --stage train
"""
)
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Continue until the run has ended.")
@click.option("--stage", metavar="STAGE", help="Only this stage, such as train or evaluate-el.")
@place_options
def command(run: str | None, follow: bool, stage: str | None, place: Place) -> None:
    """Print the logs of a run.

    All stages and all their attempts, in order. RUN is a run's id or its start; without it, or
    with @latest, the newest run.
    """
    runner = reader(place)
    wanted = find(runner, run)
    width = max((len(each.stage) for each in runner.status(wanted).stages), default=0)
    attempts: dict[str, str] = {}
    try:
        for line in runner.logs(wanted, stage=stage, follow=follow):
            if attempts.setdefault(line.stage, line.attempt) != line.attempt:
                say(paint(f"-- {line.stage}, next attempt --", "yellow", err=True))
                attempts[line.stage] = line.attempt
            prefix = "" if stage else paint(f"{line.stage:<{width}}  ", "cyan")
            out(f"{prefix}{escape(line.text.expandtabs())}")
    except KeyboardInterrupt:
        if not follow:
            raise
        options = namespace_option(place.namespace)
        raise Detached(
            f"Detached; `jobrunner logs -f{options} {wanted}` follows it again."
        ) from None
