"""The status of a run as text: `status` prints it once, `--follow` repaints it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobrunner.cli.output import columns, duration, escape, paint, percent, state

if TYPE_CHECKING:
    from jobrunner.states import Progress, RunStatus, StageStatus

WIDTH = 16  # of a bar, in characters


def run_text(status: RunStatus, *, err: bool = False) -> str:
    """A run with a line for each of its stages.

    Args:
        status: the run.
        err: True for text that goes to stderr, because colours depend on that.
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
        escape(f"{', '.join([*known, place])}{ago}"),
        escape(f"storage {status.storage or 'none'}"),
        "",
        columns(
            ("STAGE", "STATUS", "PROGRESS", "TIME", "LEFT", "TRIES", "NOW"),
            [_stage_row(stage) for stage in status.stages],
            err=err,
        ),
    ]
    if reason := reason_of(status):
        colour = "red" if status.state == "Failed" else ""
        lines += ["", paint(escape(reason), colour, err=err)]
    return "\n".join(lines)


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


def _stage_row(stage: StageStatus) -> tuple[str, ...]:
    done = 1.0 if stage.state == "Succeeded" else stage.progress.done
    begun = stage.started is not None
    end = stage.ended or time.time()
    return (
        stage.stage,
        stage.state,
        f"{bar(done)} {percent(done):>4}" if begun else "",
        duration(end - stage.started) if stage.started is not None else "",
        duration(stage.progress.seconds_left) if stage.state == "Running" else "",
        str(stage.attempts) if stage.attempts else "",
        " · ".join(facts(stage.progress)) if begun else "",
    )


def bar(done: float) -> str:
    """A ratio as a bar."""
    full = round(min(max(done, 0.0), 1.0) * WIDTH)
    return "█" * full + "░" * (WIDTH - full)


def facts(progress: Progress) -> list[str]:
    """Step, audio, loss, learning rate and validation of a stage, those that are known."""
    from jobrunner.scoring.metrics import METRICS
    from jobrunner.states import MEASURES

    parts = [progress.message] if progress.message else []
    if progress.steps:
        parts.append(f"{progress.step:,}/{progress.steps:,}")
    if progress.audio_seconds:
        parts.append(f"{audio(progress.audio_seconds)} of audio")
    for measure in MEASURES:
        if (value := getattr(progress, measure.field)) is not None:
            parts.append(f"{measure.label} {value:{measure.form}}")
    metric = METRICS.get(progress.metric)
    if metric and progress.rate is not None:
        best = progress.best_rate
        better = best is not None and metric.better(best, progress.rate)
        shown = f", best {metric.shown(best)}" if best is not None and better else ""
        parts.append(f"{metric.label} {metric.shown(progress.rate)}{shown}")
    if progress.resumes:
        parts.append(f"resumed {progress.resumes}×")
    return parts


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
