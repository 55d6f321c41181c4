"""`jobrunner submit`."""

from __future__ import annotations

import click

from jobrunner.cli.options import Choice, spec_options
from jobrunner.cli.output import out, paint, say, warn


@click.command(
    epilog="""\b
Examples:
  jobrunner submit --lang el --model whisper-small --local --follow
  jobrunner submit --lang cy --data folder:~/speech/welsh --local
  jobrunner submit --lang sw --steps 500 --device cpu --local --dry-run
  jobrunner submit --lang hi --profile a100-80gb --set train.dropout=0.1 --dry-run
"""
)
@spec_options
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended; exit 1 if it failed.")
@click.option("--follow", is_flag=True, help="The same, showing progress. Ctrl-C only detaches.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop waiting after so many seconds, with exit code 4.",
)
def command(choice: Choice, dry_run: bool, wait: bool, follow: bool, timeout: float | None) -> None:
    """Fine-tune a model for one language.

    A run prepares the data, trains, and measures base and fine-tuned model. Submitting the same
    run again goes on with it, or finds that it is there already. The run's id is all that is
    printed on stdout.
    """
    from jobrunner import runner as runners
    from jobrunner.cli.show import plan_text

    configuration = choice.load()
    spec, local = configuration.spec(), configuration.local
    runner = None if dry_run else runners.open_runner(local=local)
    plan, warnings = runners.prepare(spec, local=local)
    for warning in warnings:
        warn(warning)
    if runner is None:
        out(plan_text(plan, local=local))
        return
    say(plan_text(plan, local=local, err=True))
    say(_told(runner.start(plan)))
    out(plan.run)
    if wait or follow or timeout:
        from jobrunner.cli.follow import finish

        finish(runner, plan.run, show=follow, timeout=timeout)
        return
    say(next_commands(plan.run))


def _told(outcome: str) -> str:
    told = {
        "created": "Started.",
        "adopted": "This run is there already; nothing was started.",
        "continued": "Goes on from its last checkpoint.",
    }
    return paint(told[outcome], "green", err=True)


def next_commands(run: str) -> str:
    """What one may type after a submit."""
    return "\n".join(
        [
            f"  jobrunner status {run}",
            f"  jobrunner logs -f {run}",
            f"  jobrunner report {run}",
            f"  jobrunner cancel {run}",
        ]
    )
