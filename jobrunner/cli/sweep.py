"""The part of `submit` that starts the runs of a sweep, and the table that compares them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobrunner.catalog.backends import BACKENDS
from jobrunner.cli.options import RunOptions, with_value
from jobrunner.cli.output import columns, out, paint, say, warn
from jobrunner.cli.select import namespace_option
from jobrunner.errors import Detached, JobrunnerError, UsageError, WaitTimeout

if TYPE_CHECKING:
    from jobrunner.config import Configuration
    from jobrunner.runner.api import Runner
    from jobrunner.runner.prepare import Prepared
    from jobrunner.spec import RunSpec


def start_all(
    options: RunOptions,
    texts: Sequence[str],
    *,
    dry_run: bool,
    wait: bool,
    follow: bool,
    timeout: float | None,
    start_timeout: float,
) -> None:
    """Shows the plan of a sweep, starts its runs, and waits for them if requested.

    Args:
        options: what is common to all runs.
        texts: the values of each `--sweep`.
        dry_run: True to stop after the plan.
        wait, follow, timeout, start_timeout: as for `submit`.
    """
    from jobrunner.runner import sweep
    from jobrunner.runner.api import open_runner
    from jobrunner.runner.prepare import prepare

    if options.again:
        hint = "Give --again a number, or leave it out."
        raise UsageError("--sweep: --again finds a number for one run.", hint=hint)
    chosen = sweep.combinations(sweep.axes(texts))
    loaded = [_loaded(options, values) for values in chosen]
    backend, specs = loaded[0].backend, [each.spec() for each in loaded]
    ready = sweep.grouped([prepare(spec, backend=backend) for spec in specs])
    specs = [each.plan.spec for each in ready]
    for line in dict.fromkeys(line for each in ready for line in each.warnings):
        warn(line)
    rows = [(*values.values(), each.plan.run) for values, each in zip(chosen, ready, strict=True)]
    text = f"{_plan(ready, backend)}\n\n{columns((*chosen[0], 'RUN'), rows)}"
    if dry_run:
        out(text)
        return
    say(text)
    runner = open_runner(backend, namespace=specs[0].cluster.namespace)
    begun = [runner.start(each.plan) for each in ready]
    new = begun.count("created")
    others = "" if new == len(ready) else f" of {len(ready)}; the others exist already"
    say(paint(f"Started {new} runs{others}.", "green", err=True))
    runs = [each.plan.run for each in ready]
    out("\n".join(runs))
    if wait or follow:
        _wait(runner, runs, follow=follow, timeout=timeout, start_timeout=start_timeout)
        print_ranking(runner, runs, specs)
    place = "" if BACKENDS[backend].is_here else namespace_option(specs[0].cluster.namespace)
    # Runs that were there before are of no group, or of another.
    together = all(runner.record(run).spec.group == specs[0].group for run in runs)
    which = f"--group {specs[0].group}" if together else " ".join(runs)
    say(f"  jobrunner report{place} {which}")


def _loaded(options: RunOptions, values: dict[str, str]) -> Configuration:
    for path, text in values.items():
        options = with_value(options, "--sweep", path, text)
    return options.load()


def _plan(ready: Sequence[Prepared], backend: str) -> str:
    """The plan of the first run, with what differs at the others left to the table."""
    from jobrunner.cli.plan_text import plan_text

    first, *lines = plan_text(ready[0], BACKENDS[backend], err=True).splitlines()
    name = ready[0].plan.spec.group
    head = f"{paint('sweep    ', '', err=True, bold=True)} {len(ready)} runs, group {name}"
    return "\n".join([head, *lines, "", f"This is {first.split()[-1]}; the runs are:"])


def _wait(
    runner: Runner,
    runs: Sequence[str],
    *,
    follow: bool,
    timeout: float | None,
    start_timeout: float,
) -> None:
    """Waits until all runs have ended; says how many have.

    Raises:
        WaitTimeout: `timeout` seconds have passed; the runs continue.
        Detached: Ctrl-C; the runs continue.
    """
    from jobrunner.cli import run_text
    from jobrunner.cli.follow import watched

    deadline = time.monotonic() + (timeout or float("inf"))
    shown = ""
    try:
        for run in runs:
            left = deadline - time.monotonic()
            for status in watched(runner, run, max(left, 0.0), start_timeout, ""):
                current = status.current
                line = f"{run}: {run_text.line(current)}" if current else run
                key = f"{run} {current.stage} {current.state}" if current else run
                if follow and key != shown and not status.state.ended:
                    say(line)
                    shown = key
            status = runner.status(run)
            if not status.state.ended:
                raise WaitTimeout(
                    f"{run} has not ended after {timeout or 0:g} s.",
                    hint=f"All runs continue; `jobrunner status {run}` shows it.",
                )
            done = sum(runner.status(each).state.ended for each in runs)
            say(f"{done} of {len(runs)} runs have ended: {run} {status.state.lower()}")
    except KeyboardInterrupt:
        hint = "`jobrunner list` shows them."
        raise Detached(f"Detached; all {len(runs)} runs continue. {hint}") from None


def print_ranking(
    runner: Runner, runs: Sequence[str], specs: Sequence[RunSpec], *, err: bool = True
) -> None:
    """Prints the runs by their rates, the best first, and says how clear the difference is.

    Raises:
        JobrunnerError: a run has failed or was stopped; after the table of the others.
    """
    from jobrunner.cli.ranking import ranking
    from jobrunner.cli.report import results

    text = ranking(results(runner, runs, None), runs, specs)
    (say if err else out)(text)
    states = {run: runner.status(run).state for run in runs}
    bad = [run for run, state in states.items() if state.ended and state != "Succeeded"]
    if bad:
        raise JobrunnerError(
            f"{len(bad)} of {len(runs)} runs did not succeed, such as {bad[0]}.",
            hint=f"`jobrunner logs {bad[0]}` shows why.",
        )
