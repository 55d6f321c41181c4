"""Waiting for a run: live on a terminal, a line now and then elsewhere, quiet with --wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from jobrunner.cli import progress
from jobrunner.cli.output import say
from jobrunner.errors import Detached, JobrunnerError, WaitTimeout

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from jobrunner.runner import Runner
    from jobrunner.status import RunStatus

SECONDS_BETWEEN_LINES = 15.0


class Display(Protocol):
    """Shows the status of a run whenever it changes."""

    def __call__(self, status: RunStatus) -> None: ...


def finish(runner: Runner, run: str, *, show: bool, timeout: float | None) -> None:
    """Waits until a run has ended, then prints its results.

    Args:
        runner: where the run is.
        run: its id.
        show: True to show progress meanwhile.
        timeout: seconds to wait at most; None waits for ever.

    Raises:
        JobrunnerError: the run failed or was stopped.
        WaitTimeout: it goes on.
        Detached: Ctrl-C; it goes on.
    """
    last: RunStatus | None = None
    try:
        with _display(show) as display:
            for last in runner.watch(run, timeout=timeout):
                display(last)
    except KeyboardInterrupt:
        raise Detached(
            f"Detached; {run} goes on. `jobrunner status --follow {run}` comes back to it."
        ) from None
    if last is None or not last.state.ended:
        raise WaitTimeout(
            f"{run} has not ended after {timeout or 0:g} s.",
            hint=f"It goes on; `jobrunner status {run}` shows it.",
        )
    if last.state != "Succeeded":
        raise _failure(last)
    from jobrunner.cli.report import print_results

    print_results(runner, [run])


def _failure(status: RunStatus) -> JobrunnerError:
    reason = progress.reason_of(status).rstrip(".")
    hint = f"`jobrunner logs {status.run}` tells more."
    if status.state != "Failed":
        hint = "Submit it again to go on from its last checkpoint."
    told = f"{status.run} {'failed' if status.state == 'Failed' else f'is {status.state.lower()}'}"
    return JobrunnerError(f"{told}: {reason}." if reason else f"{told}.", hint=hint)


@contextmanager
def _display(show: bool) -> Iterator[Display]:
    if not show:
        yield lambda status: None
    elif sys.stderr.isatty():
        screen = _Screen()
        with screen.live():
            yield screen
    else:
        yield _Lines()


class _Screen:
    """Repaints the run on a terminal, also while nothing changes but the clock."""

    def __init__(self) -> None:
        self._status: RunStatus | None = None

    def __call__(self, status: RunStatus) -> None:
        self._status = status

    def live(self) -> Live:
        """Paints while it is entered; the last state stays on the screen."""
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

        shown = progress.run_text(self._status, err=True) if self._status else ""
        return Text.from_ansi(shown, no_wrap=True, overflow="ellipsis")


class _Lines:
    """One line when a stage's state changes, and one now and then while it works."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._at = float("-inf")

    def __call__(self, status: RunStatus) -> None:
        for stage in status.stages:
            changed = self._told.get(stage.stage) != stage.state
            self._told[stage.stage] = stage.state
            due = time.monotonic() - self._at >= SECONDS_BETWEEN_LINES
            if (changed and stage.state != "Waiting") or (due and stage.state == "Running"):
                say(progress.line(stage))
                self._at = time.monotonic()
