"""`jobrunner status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import out, plain, say, structured
from jobrunner.cli.select import Place, complete_run, find, namespace_option, place_options, reader
from jobrunner.errors import PERMANENT_EXIT_CODES

if TYPE_CHECKING:
    from jobrunner.states import RunStatus


@click.command(
    epilog="""\b
Examples:
  jobrunner status
  jobrunner status --follow
  jobrunner status el-whisper-small-1f6e09ab -o json
"""
)
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Keep showing it until it has ended.")
@output_option("table", "json", "yaml", "name")
@place_options
def command(run: str | None, follow: bool, kind: str, place: Place) -> None:
    """Show the stages and the progress of a run.

    RUN is a run's id or its start; without it, or with @latest, the newest run.
    """
    runner = reader(place)
    wanted, options = find(runner, run), namespace_option(place.namespace)
    if follow:
        from jobrunner.cli.follow import finish

        finish(runner, wanted, show=True, timeout=None, options=options)
        return
    status = runner.status(wanted)
    if kind == "name":
        out(status.run)
    elif kind != "table":
        out(structured(kind, plain(status.model_dump(mode="json"))))
    else:
        from jobrunner.cli.run_text import run_text

        out(run_text(status))
        if status.state == "Succeeded":
            from jobrunner.cli.run_text import model_text

            say(model_text(status))
        say("\n" + "\n".join(f"  {line}" for line in next_commands(status, options)))


def next_commands(status: RunStatus, options: str) -> list[str]:
    """Commands to suggest next."""
    run = status.run
    if not status.state.ended:
        return [f"jobrunner status --follow{options} {run}", f"jobrunner logs -f{options} {run}"]
    if status.state == "Succeeded":
        measured = {stage.stage.removeprefix("evaluate-") for stage in status.stages}
        # Another language shows what fine-tuning made the model forget.
        others = [code for code in ("en", "es") if code not in measured]
        more = [f"jobrunner evaluate{options} --model {run} --lang {code}" for code in others[:1]]
        heard = f"jobrunner transcribe{options} --model {run} speech.wav"
        return [f"jobrunner report{options} {run}", *more, heard]
    logs = f"jobrunner logs{options} {run}"
    current = status.current
    if status.state == "Failed" and current and current.exit_code in PERMANENT_EXIT_CODES:
        return [logs]  # the reason above says what to do first, or instead
    return [logs, f"jobrunner resume{options} {run}"]
