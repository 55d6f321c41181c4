"""`jobrunner submit`, and the steps that `evaluate` shares with it: plan, start, wait."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from jobrunner.catalog.backends import BACKENDS
from jobrunner.cli.options import Command, Finite, RunOptions, spec_options
from jobrunner.cli.output import out, paint, say, warn
from jobrunner.cli.select import namespace_option
from jobrunner.errors import OutputError, UsageError

if TYPE_CHECKING:
    from jobrunner.runner.api import Runner
    from jobrunner.spec import RunSpec
    from jobrunner.spec.record import RunRecord

# Seconds for which a stage may be unable to start.
START_TIMEOUT = 300.0
OUTCOMES = {
    "created": "Started.",
    "adopted": "This run already exists; nothing was started.",
    "continued": "Continues with what is left to do.",
}


def start_options(function: Command) -> Command:
    """Adds the options of commands that start a run."""
    seconds = Finite(min=0, min_open=True)
    for option in reversed(
        [
            click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
            click.option("--wait", is_flag=True, help="Wait for the end; exit 1 if it failed."),
            click.option("--follow", is_flag=True, help="Wait and show progress; Ctrl-C detaches."),
            click.option(
                "--timeout",
                type=seconds,
                metavar="SECONDS",
                help="With --wait or --follow: wait at most this long, then exit 4.",
            ),
            click.option(
                "--start-timeout",
                type=seconds,
                metavar="SECONDS",
                help="With them: exit 3 if no stage runs, and one cannot start, for this long.  "
                f"[default: {START_TIMEOUT:g}]",
            ),
        ]
    ):
        function = option(function)
    return function


@click.command(
    epilog="""\b
Examples:
  jobrunner submit --lang el --model whisper-small --local --follow
  jobrunner submit --lang cy --data folder:~/speech/welsh --local
  jobrunner submit --lang sw --steps 500 --device cpu --local --dry-run
  jobrunner submit --lang cy --sweep train.learning_rate=1e-5,5e-6 --local --wait
  jobrunner submit --lang hi --profile a100-80gb --storage s3://speech/runs --dry-run
"""
)
@spec_options()
@click.option(
    "--sweep",
    "sweeps",
    metavar="KEY=V1,V2",
    multiple=True,
    help="A run for each value, compared at the end. Repeated: one for each combination.",
)
@start_options
def command(options: RunOptions, sweeps: tuple[str, ...], dry_run: bool, **waiting: Any) -> None:
    """Fine-tune a model for one language.

    A run prepares the data, trains, and measures base and fine-tuned model. Submitting the same
    run again continues it, or finds that it already exists.

    The run's id is all that is printed on stdout: RUN=$(jobrunner submit …) has it. The plan,
    progress and, with --wait or --follow, the results go to stderr.
    """
    from jobrunner.runner.api import open_runner

    if sweeps:
        from jobrunner.cli.sweep import start_all

        check_waiting(**waiting)
        waiting["start_timeout"] = waiting["start_timeout"] or START_TIMEOUT
        start_all(options, sweeps, dry_run=dry_run, **waiting)
        return
    configuration = options.without_again().load()
    spec, backend = configuration.spec(), configuration.backend
    runner = None
    if options.again or not dry_run:
        runner = open_runner(backend, namespace=spec.cluster.namespace)
    if options.again and runner:
        spec = runner.numbered(spec)
        say(f"--again {spec.again} is the next free number.")
    runner = None if dry_run else runner
    start(spec, runner, backend=backend, **waiting)


def start(
    asked: RunSpec | RunRecord,
    runner: Runner | None,
    *,
    backend: str,
    wait: bool,
    follow: bool,
    timeout: float | None,
    start_timeout: float | None,
    done: Collection[str] = (),
) -> None:
    """Shows the plan of a run, starts it, and waits for it if requested.

    Args:
        asked: spec of a new run, or record of an existing run with more to do.
        runner: the runner to start it with; None stops after the plan.
        backend: name of the backend.
        wait, follow, timeout, start_timeout: as on the command line.
        done: names of stages that have succeeded and are not repeated.
    """
    from jobrunner.cli.plan_text import plan_text
    from jobrunner.runner.prepare import prepare

    check_waiting(wait=wait, follow=follow, timeout=timeout, start_timeout=start_timeout)
    ready, facts = prepare(asked, backend=backend), BACKENDS[backend]
    plan, spec = ready.plan, ready.plan.spec
    for warning in ready.warnings:
        warn(warning)
    if runner is None:
        out(plan_text(ready, facts, done=done))
        return
    say(plan_text(ready, facts, done=done, err=True))
    if spec.is_here and not facts.is_here:
        say("Uploading folders of this machine to storage, where pods can read them.")
    say(paint(OUTCOMES[runner.start(plan)], "green", err=True))
    _print_id(plan.run)
    options = "" if facts.is_here else namespace_option(spec.cluster.namespace)
    if wait or follow:
        from jobrunner.cli.follow import finish

        finish(
            runner,
            plan.run,
            show=follow,
            timeout=timeout,
            start_timeout=start_timeout or START_TIMEOUT,
            options=options,
            err=True,
        )
    live = ("status", "logs -f", "report", "cancel")
    for verb in ("status", "report") if wait or follow else live:
        say(f"  jobrunner {verb}{options} {plan.run}")


def check_waiting(
    *, wait: bool, follow: bool, timeout: float | None, start_timeout: float | None
) -> None:
    """Raises UsageError for a timeout of a command that does not wait."""
    for option, given in (("--timeout", timeout), ("--start-timeout", start_timeout)):
        if given is not None and not (wait or follow):
            hint = "Add --wait or --follow, or leave it out."
            raise UsageError(f"{option}: without waiting it has no meaning.", hint=hint)


def _print_id(run: str) -> None:
    """Prints the id on stdout, or in the error if stdout takes nothing more."""
    try:
        out(run)
    except OutputError as error:
        hint = f"`jobrunner status {run}` shows it."
        raise OutputError(f"{error.message} The run is {run}.", hint=hint) from None
