"""`jobrunner list`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import columns, duration, out, percent, say, structured
from jobrunner.cli.select import Place, place_options, reader

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
WIDE = ("BACKEND", "TRIES", "STEP", "STORAGE")
LONGEST_REASON = 60


@click.command(
    "list",
    epilog="""\b
Examples:
  jobrunner list
  jobrunner list -o wide
  jobrunner list -o name | xargs -n 1 jobrunner cancel
""",
)
@output_option("table", "wide", "json", "yaml", "name")
@place_options
def command(kind: str, place: Place) -> None:
    """List runs, newest first.

    PROGRESS and LEFT describe the current stage; RATE is the latest WER, CER or loss on
    the validation split.
    """
    runs = reader(place).list()
    if kind == "name":
        if runs:
            out("\n".join(status.run for status in runs))
    elif kind in {"json", "yaml"}:
        out(structured(kind, {"runs": [status.model_dump(mode="json") for status in runs]}))
    elif not runs:
        say("There are no runs yet. `jobrunner submit --help` shows how to start one.")
    else:
        wide = kind == "wide"
        head = [*HEAD, *WIDE] if wide else HEAD
        out(columns(head, [_row(status, wide) for status in runs]))


def _row(status: RunStatus, wide: bool) -> list[str]:
    from jobrunner.cli.run_text import reason_of
    from jobrunner.spec import names

    stage = status.current
    done = stage.progress if stage else None
    # Only training reports a loss.
    trained = next((s.progress for s in status.stages if s.progress.loss is not None), None)
    reason = reason_of(status)
    if not wide and len(reason) > LONGEST_REASON:
        reason = f"{reason[: LONGEST_REASON - 1]}…"
    row = [
        status.run,
        status.lang,
        names.model_name(status.model),
        status.state,
        stage.stage if stage and status.state != "Succeeded" else "",
        percent(1.0 if status.state == "Succeeded" else done.done if done else None),
        duration(done.seconds_left) if done and status.state == "Running" else "",
        f"{trained.loss:.3f}" if trained and trained.loss is not None else "",
        _rate(trained) if trained else "",
        duration(time.time() - status.submitted) if status.submitted else "",
        reason,
    ]
    if wide:
        tries = sum(s.attempts for s in status.stages)
        step = f"{trained.step}/{trained.steps}" if trained and trained.steps else ""
        row += [status.backend, str(tries), step, status.storage]
    return row


def _rate(trained: Progress) -> str:
    """The latest validation with its metric: `WER 13.4%`."""
    from jobrunner.scoring.metrics import METRICS

    metric, rate = METRICS.get(trained.metric), trained.rate
    return f"{metric.label} {metric.shown(rate)}" if metric and rate is not None else ""
