"""Which run a command means: an id, `@latest`, or nothing for the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobrunner.errors import JobrunnerError, UsageError

if TYPE_CHECKING:
    from jobrunner.runner import Runner

LATEST = "@latest"


def reader() -> Runner:
    """The runner for commands that name a run which is there already."""
    from jobrunner.runner import open_runner

    return open_runner(local=True)


def find(runner: Runner, text: str | None) -> str:
    """The run id that was meant.

    Raises:
        UsageError: there is no run yet, or the text is no run id.
    """
    from jobrunner import names

    if text is not None and text != LATEST:
        return names.check_run_id(text)
    newest = runner.list()[:1]
    if not newest:
        raise UsageError(
            "There are no runs yet.",
            hint="Start one, such as `jobrunner submit --lang el --model whisper-tiny --local`.",
        )
    return newest[0].run


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of runs, for the shell."""
    try:
        found = [status.run for status in reader().list()]
    except JobrunnerError:
        return []
    return [run for run in [*found, LATEST] if run.startswith(incomplete)]
