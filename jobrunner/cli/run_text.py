"""The status of a run as text: `status` prints it once, `--follow` repaints it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobrunner.cli import fit
from jobrunner.cli.output import columns, duration, escape, folded, paint, percent, state, width

if TYPE_CHECKING:
    from jobrunner.states import Progress, RunStatus, StageStatus

BAR = 16  # characters
# Narrower terminals show what a stage does below the table of the stages.
WIDE = 140
# Characters of the loss as a line of blocks, on narrow and on wide terminals.
SPARKS = (12, 24)
# A terminal with less room than this is narrow.
NARROW = 60
HEAD = ("STAGE", "STATUS", "PROGRESS", "TIME", "LEFT", "TRIES", "NOW")


def run_text(status: RunStatus, *, err: bool = False) -> str:
    """A run with a line for each of its stages, as wide as the terminal.

    Args:
        status: the run.
        err: True for text that goes to stderr, because colours and width depend on that.
    """
    from jobrunner.catalog import languages
    from jobrunner.catalog.backends import BACKENDS
    from jobrunner.spec import names

    known = [languages.find(status.lang).name] if status.lang else []
    known += [names.model_name(status.model)] if status.model else []
    facts = BACKENDS.get(status.backend)
    place = facts.where if facts else status.backend
    ago = f", submitted {duration(time.time() - status.submitted)} ago" if status.submitted else ""
    lines = [
        f"{paint(status.run, '', err=err, bold=True)}  {state(status.state, err=err)}",
        folded(escape(f"{', '.join([*known, place])}{ago}"), 0, err=err),
        escape(f"storage {status.storage or 'none'}"),
        "",
        *_stages(status, width(err=err), err),
    ]
    if reason := reason_of(status):
        colour = "red" if status.state == "Failed" else ""
        lines += ["", paint(folded(escape(reason), 0, err=err), colour, err=err)]
    return "\n".join(lines)


def _stages(status: RunStatus, room: int | None, err: bool) -> list[str]:
    """The table of the stages; below it what they do, if the terminal has no room beside."""

    def rows(**form: Any) -> list[tuple[str, ...]]:
        return [_stage_row(stage, **form) for stage in status.stages]

    if room is None:
        return [columns(HEAD, rows(), err=err)]
    if room >= WIDE and fit.needed(HEAD, rows(sparks=SPARKS[1])) <= room:
        return [columns(HEAD, rows(sparks=SPARKS[1]), err=err)]
    head, found = HEAD[:-1], [row[:-1] for row in rows()]
    if fit.needed(head, found) > room:
        found = [row[:-1] for row in rows(bars=False)]
    leave_out = ("TRIES", "TIME", "PROGRESS", "LEFT")
    return [
        columns(*fit.table(head, found, room, leave_out=leave_out), err=err),
        *_below(status, room),
    ]


def _below(status: RunStatus, room: int) -> list[str]:
    """Lines about the stages that run, and about training: progress, loss, rates."""
    found = []
    for stage in status.stages:
        now = stage.progress
        if stage.started is None or not (stage.state == "Running" or now.loss is not None):
            continue
        does = [escape(fact) for fact in doing(now)] or [stage.state.lower()]
        first, *rest = fit.lines([f"{stage.stage}: {does[0]}", *does[1:]], room - 2)
        rest += fit.lines(measured(now, SPARKS[room >= NARROW]), room - 2)
        found += ["", first, *(f"  {line}" for line in rest)]
    return found


def model_text(status: RunStatus) -> str:
    """The place of a finished run's model, and how to load it; empty if it trained none."""
    from jobrunner.reports.usage import usage

    if not any(stage.stage == "train" for stage in status.stages) or not status.storage:
        return ""
    return "\n" + str(usage(status.storage, status.run, lang=status.lang, model=status.model))


def reason_of(status: RunStatus) -> str:
    """The reason why a run waits or failed, in one line; empty if there is none."""
    current = status.current
    if status.state.ended and status.reason == status.state.lower():
        return ""
    if current and current.reason and current.state != "Succeeded":
        return f"{current.stage}: {current.reason}"
    return status.reason


def _stage_row(stage: StageStatus, *, bars: bool = True, sparks: int = 0) -> tuple[str, ...]:
    done = 1.0 if stage.state == "Succeeded" else stage.progress.done
    begun = stage.started is not None
    end = stage.ended or time.time()
    return (
        stage.stage,
        stage.state,
        f"{f'{bar(done)} ' if bars else ''}{percent(done):>4}" if begun else "",
        duration(end - stage.started) if stage.started is not None else "",
        duration(stage.progress.seconds_left) if stage.state == "Running" else "",
        str(stage.attempts) if stage.attempts else "",
        " · ".join(facts(stage.progress, sparks)) if begun else "",
    )


def bar(done: float) -> str:
    """A ratio as a bar."""
    full = round(min(max(done, 0.0), 1.0) * BAR)
    return "█" * full + "░" * (BAR - full)


def facts(progress: Progress, sparks: int = 0) -> list[str]:
    """Step, audio, loss, learning rate and validation of a stage, those that are known.

    Args:
        progress: of the stage.
        sparks: characters for a line that shows how the loss changed; 0 for none.
    """
    return [*doing(progress), *measured(progress, sparks)]


def doing(progress: Progress) -> list[str]:
    """Activity, step, audio and resumes of a stage, those that are known."""
    parts = [progress.message] if progress.message else []
    if progress.steps:
        parts.append(f"{progress.step:,}/{progress.steps:,}")
    if progress.audio_seconds:
        parts.append(f"{audio(progress.audio_seconds)} of audio")
    if progress.resumes:
        parts.append(f"resumed {progress.resumes}×")
    return parts


def measured(progress: Progress, sparks: int = 0) -> list[str]:
    """Loss, learning rate and validation of a stage; for `sparks` see `facts`."""
    from jobrunner.scoring.metrics import METRICS
    from jobrunner.states import MEASURES

    parts = []
    for measure in MEASURES:
        if (value := getattr(progress, measure.field)) is not None:
            curve = fit.sparkline(progress.losses, sparks) if measure.field == "loss" else ""
            parts.append(f"{measure.label} {value:{measure.form}} {curve}".rstrip())
    metric = METRICS.get(progress.metric)
    if metric and progress.rate is not None:
        best = progress.best_rate
        better = best is not None and metric.better(best, progress.rate)
        shown = f", best {metric.shown(best)}" if best is not None and better else ""
        parts.append(f"{metric.label} {metric.shown(progress.rate)}{shown}")
    return [*parts, progress.concern] if progress.concern else parts


def audio(seconds: float) -> str:
    """Seconds of audio as minutes or hours."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def line(stage: StageStatus) -> str:
    """One stage in one line, for `--follow` without a terminal."""
    parts = [f"{stage.stage}: {stage.state}"]
    if stage.state == "Running":
        parts += [percent(stage.progress.done)] if stage.progress.updated else []
        parts += facts(stage.progress)
        if stage.progress.seconds_left:
            parts.append(f"{duration(stage.progress.seconds_left)} left")
    if stage.reason:
        parts.append(stage.reason)
    return escape(", ".join(parts))
