"""Waits for a run: live on a terminal, with an occasional line elsewhere, quietly with --wait."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from jobrunner.cli import output, run_text
from jobrunner.cli.output import say
from jobrunner.errors import ClusterError, Detached, JobrunnerError, WaitTimeout

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from jobrunner.runner.api import Runner
    from jobrunner.states import RunStatus

SECONDS_BETWEEN_LINES = 15.0


class Display(Protocol):
    """Shows the status of a run whenever it changes."""

    def __call__(self, status: RunStatus) -> None: ...


def finish(
    runner: Runner,
    run: str,
    *,
    show: bool,
    timeout: float | None,
    start_timeout: float = math.inf,
    options: str = "",
    err: bool = False,
) -> None:
    """Waits until a run has ended, then prints its results.

    Args:
        runner: a runner that knows the run.
        run: its id.
        show: True to show progress meanwhile.
        timeout: seconds to wait at most; None waits for ever.
        start_timeout: seconds to wait while nothing runs and something keeps a stage from
            starting.
        options: options that commands about this run need, such as ` -n NAME`.
        err: True to print the results on stderr, because stdout has another result.

    Raises:
        JobrunnerError: the run failed or was stopped.
        ClusterError: a stage cannot start.
        WaitTimeout: `timeout` seconds have passed; the run continues.
        Detached: Ctrl-C; the run continues.
    """
    last: RunStatus | None = None
    try:
        with _display(show) as display:
            for last in watched(runner, run, timeout or math.inf, start_timeout, options):
                display(last)
    except KeyboardInterrupt:
        raise Detached(
            f"Detached; {run} continues. "
            f"`jobrunner status --follow{options} {run}` follows it again."
        ) from None
    if last is None or not last.state.ended:
        raise WaitTimeout(
            f"{run} has not ended after {timeout or 0:g} s.",
            hint=f"It continues; `jobrunner status{options} {run}` shows it.",
        )
    if last.state != "Succeeded":
        raise _failure(last, options)
    from jobrunner.cli.report import print_results

    if not err or output.level >= 0:
        print_results(runner, [run], err=err)
    if show:
        say(run_text.model_text(last))


def watched(
    runner: Runner, run: str, timeout: float, start_timeout: float, options: str
) -> Iterator[RunStatus]:
    """The status at each change, until the run ends or one of the two timeouts has passed."""
    deadline, start_deadline = time.monotonic() + timeout, math.inf
    while True:
        left = min(deadline, start_deadline) - time.monotonic()
        status = None
        for status in runner.watch(run, timeout=max(left, 0.0) if left < math.inf else None):
            yield status
            if status.state.ended:
                return
            if _is_blocked(status) != (start_deadline < math.inf):
                blocked = _is_blocked(status)
                start_deadline = time.monotonic() + start_timeout if blocked else math.inf
                break
        now = time.monotonic()
        if now >= start_deadline and status is not None:
            raise ClusterError(
                f"{run} did not start within {start_timeout:g} s: "
                f"{run_text.reason_of(status).rstrip('.')}.",
                hint="It starts by itself once that is fixed; "
                f"`jobrunner cancel{options} {run}` ends it.",
            )
        if now >= deadline:
            return


def _is_blocked(status: RunStatus) -> bool:
    """True if nothing runs and something keeps a stage from starting."""
    running = any(stage.state == "Running" for stage in status.stages)
    return not running and any(stage.blocked for stage in status.stages)


def _failure(status: RunStatus, options: str) -> JobrunnerError:
    reason = run_text.reason_of(status).rstrip(".")
    hint = f"`jobrunner logs{options} {status.run}` shows more."
    if status.state != "Failed":
        hint = f"`jobrunner resume{options} {status.run}` continues from its last checkpoint."
    outcome = (
        f"{status.run} {'failed' if status.state == 'Failed' else f'is {status.state.lower()}'}"
    )
    return JobrunnerError(f"{outcome}: {reason}." if reason else f"{outcome}.", hint=hint)


@contextmanager
def _display(show: bool) -> Iterator[Display]:
    if not show or output.level < 0:
        yield _Obstacles()
    elif sys.stderr.isatty():
        screen = _Screen()
        with screen.live():
            yield screen
    else:
        yield _Lines()


class _Screen:
    """Repaints the run on a terminal, even while only the clock changes."""

    def __init__(self) -> None:
        self._status: RunStatus | None = None

    def __call__(self, status: RunStatus) -> None:
        self._status = status

    def live(self) -> Live:
        """A context that repaints the screen; the last state stays on it."""
        from rich.console import Console
        from rich.live import Live

        return Live(
            console=Console(stderr=True),
            get_renderable=self._text,
            refresh_per_second=4,
            vertical_overflow="visible",
        )

    def _text(self) -> Text:
        from rich.text import Text

        shown = run_text.run_text(self._status, err=True) if self._status else ""
        return Text.from_ansi(shown, overflow="fold")


class _Obstacles:
    """Prints one line when something keeps a stage from starting, and nothing else."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, status: RunStatus) -> None:
        for stage in status.stages:
            if stage.blocked and (line := run_text.line(stage)) not in self._shown:
                self._shown.add(line)
                say(line)


class _Lines:
    """Prints one line when a stage's state changes, and an occasional one while it works."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._at = float("-inf")

    def __call__(self, status: RunStatus) -> None:
        for stage in status.stages:
            now = f"{stage.state} {stage.reason if stage.blocked else ''}"
            changed = self._shown.get(stage.stage) != now
            self._shown[stage.stage] = now
            due = time.monotonic() - self._at >= SECONDS_BETWEEN_LINES
            if (changed and stage.state != "Waiting") or (due and stage.state == "Running"):
                say(run_text.line(stage))
                self._at = time.monotonic()
