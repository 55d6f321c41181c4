"""`jobrunner list`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from jobrunner.cli import fit
from jobrunner.cli.filter import Wanted, filter_options, trained
from jobrunner.cli.options import output_option
from jobrunner.cli.output import (
    columns,
    duration,
    out,
    percent,
    plain,
    say,
    structured,
    warn,
    width,
)
from jobrunner.cli.select import Place, place_options, reader
from jobrunner.errors import UsageError

if TYPE_CHECKING:
    from jobrunner.states import Progress, RunStatus

HEAD = (
    "RUN",
    "LANG",
    "MODEL",
    "STATUS",
    "STAGE",
    "PROGRESS",
    "LEFT",
    "LOSS",
    "RATE",
    "AGE",
    "REASON",
)
WIDE = (*HEAD[:-1], "BACKEND", "TRIES", "STEP", "STORAGE", "REASON")
# What a narrow terminal does without, in this order. A run's id has its language and its model.
LEAVE_OUT = ("MODEL", "LANG", "LOSS", "STAGE", "REASON", "RATE", "LEFT", "AGE", "PROGRESS")
# Characters of a reason that are worth a column.
SHORTEST_REASON = 12
# Characters of a reason outside a terminal.
LONGEST_REASON = 60
SECONDS_BETWEEN_LOOKS = 2.0
EMPTY = "There are no runs yet. `jobrunner submit --help` shows how to start one."


@click.command(
    "list",
    epilog="""\b
Examples:
  jobrunner list
  jobrunner list --lang el,sw --status failed --since 2d
  jobrunner list --sort rate --limit 5 -o wide
  jobrunner list --status running -o name | xargs -n 1 jobrunner cancel
""",
)
@filter_options
@click.option("--watch", is_flag=True, help="Repaint the list until Ctrl-C.")
@output_option("table", "wide", "json", "yaml", "name")
@place_options
def command(kind: str, place: Place, wanted: Wanted, watch: bool) -> None:
    """List runs, newest first.

    PROGRESS and LEFT describe the current stage; RATE is the latest WER, CER or loss on
    the validation split; TRIES are those of the stage that needed most. A terminal shows the
    columns that it has room for, wide shows all.
    """
    if watch:
        _watch(kind, place, wanted)
        return
    found = reader(place).list()
    runs = wanted.of(found)
    if kind == "name":
        if runs:
            out("\n".join(status.run for status in runs))
    elif kind in {"json", "yaml"}:
        out(structured(kind, {"runs": [plain(status.model_dump(mode="json")) for status in runs]}))
    elif runs:
        out(_table(runs, kind == "wide"))
    else:
        say(_none(len(found)))


def _none(others: int) -> str:
    """One line about a list without a run."""
    if not others:
        return EMPTY
    return f"None of {others} run{'s' * (others != 1)} matches. `jobrunner list` shows all."


def _watch(kind: str, place: Place, wanted: Wanted) -> None:
    """Repaints the list until Ctrl-C."""
    if kind not in {"table", "wide"}:
        raise UsageError(f"--watch: repaints a table, not {kind}.", hint="Leave out -o.")
    if not sys.stdout.isatty():
        raise UsageError(
            "--watch: repaints a terminal, and this output goes elsewhere.",
            hint="Leave it out, or watch one run with `jobrunner status --follow`.",
        )
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    runner = reader(place, warn=_once())
    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            found = runner.list()
            runs = wanted.of(found)
            shown = runs[: max(console.height - 3, 1)]
            lines = [_table(shown, kind == "wide") if shown else _none(len(found))]
            if more := len(runs) - len(shown):
                lines.append(f"{more} more: --status, --since and --limit choose.")
            text = Text.from_ansi("\n".join(lines), overflow="fold")
            live.update(text, refresh=True)
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _once() -> Callable[[str], None]:
    """A `warn` that prints each line the first time only."""
    shown: set[str] = set()

    def once(line: str) -> None:
        if line not in shown:
            shown.add(line)
            warn(line)

    return once


def _table(runs: Sequence[RunStatus], wide: bool) -> str:
    """Runs as a table: whole if it is wide, else as wide as the terminal."""
    if wide:
        return columns(WIDE, [_row(status, wide) for status in runs])
    rows, room = [_row(status, wide) for status in runs], width()
    if room is None:
        rows = [[*row[:-1], fit.cut(row[-1], LONGEST_REASON)] for row in rows]
    return columns(*fit.table(HEAD, rows, room, leave_out=LEAVE_OUT, last=SHORTEST_REASON))


def _row(status: RunStatus, wide: bool) -> list[str]:
    from jobrunner.cli.run_text import reason_of
    from jobrunner.spec import names

    stage = status.current
    done = stage.progress if stage else None
    training = trained(status)
    row = [
        status.run,
        status.lang,
        names.model_name(status.model),
        status.state,
        stage.stage if stage and status.state != "Succeeded" else "",
        percent(1.0 if status.state == "Succeeded" else done.done if done else None),
        duration(done.seconds_left) if done and status.state == "Running" else "",
        f"{training.loss:.3f}" if training and training.loss is not None else "",
        _rate(training) if training else "",
        duration(time.time() - status.submitted) if status.submitted else "",
    ]
    if wide:
        tries = max((each.attempts for each in status.stages), default=0)
        step = f"{training.step}/{training.steps}" if training and training.steps else ""
        row += [status.backend, str(tries) if tries else "", step, status.storage]
    return [*row, reason_of(status)]


def _rate(training: Progress) -> str:
    """The latest validation with its metric: `WER 13.4%`."""
    from jobrunner.scoring.metrics import METRICS

    metric, rate = METRICS.get(training.metric), training.rate
    return f"{metric.label} {metric.shown(rate)}" if metric and rate is not None else ""
