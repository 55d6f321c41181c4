"""States, progress and attempts of a run, while it runs and afterwards. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any

from pydantic import BaseModel, ConfigDict


class State(StrEnum):
    """State of a stage or a run, the same for every backend."""

    WAITING = "Waiting"  # a stage before it has not finished
    QUEUED = "Queued"  # waits for a device or a place in the queue
    STARTING = "Starting"  # a process or pod is being created
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    STOPPED = "Stopped"  # nothing runs and it is not finished; a submit resumes it

    @property
    def ended(self) -> bool:
        """True if nothing more happens until someone submits again."""
        return self in {State.SUCCEEDED, State.FAILED, State.CANCELLED, State.STOPPED}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Progress(_Record):
    """Progress of a stage: the stage writes it, everyone else reads it."""

    message: str = ""
    """Current activity, such as `training` or `decoding`."""
    done: float = 0.0
    """Ratio from 0 to 1."""
    step: int = 0
    steps: int = 0
    audio_seconds: float = 0.0
    """Seconds of audio trained on, prepared or decoded so far."""
    loss: float | None = None
    losses: tuple[float, ...] = ()
    """Loss from the first step to the last: means of equal stretches, a few dozen at most."""
    learning_rate: float | None = None
    waiting: float | None = None
    """Share of this attempt's training that was spent waiting for data."""
    metric: str = ""
    """Metric of `rate` and `best_rate`: a name of `scoring.metrics`, such as `wer`."""
    rate: float | None = None
    """The latest value on the validation split."""
    best_rate: float | None = None
    validation_loss: float | None = None
    """The latest mean loss on the validation split, nats a token."""
    concern: str = ""
    """The trouble of the training, in a few words; empty if all is well."""
    seconds_left: float | None = None
    resumes: int = 0
    updated: float = 0.0
    """Unix time."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that training reports at each step: a field of `Progress`.

    Texts and Prometheus metrics loop over `MEASURES`.
    """

    field: str
    label: str
    """Label for people."""
    form: str
    """Python format specification."""
    gauge: str
    """Name of its Prometheus metric, without `jobrunner_`."""
    description: str


MEASURES = (
    Measure(
        field="loss",
        label="loss",
        form=".3f",
        gauge="train_loss",
        description="Loss of the last step, nats a token",
    ),
    Measure(
        field="validation_loss",
        label="validation loss",
        form=".3f",
        gauge="train_validation_loss",
        description="Loss of the last validation, nats a token",
    ),
    Measure(
        field="learning_rate",
        label="rate",
        form=".2g",
        gauge="train_learning_rate",
        description="Learning rate of the last step",
    ),
    Measure(
        field="waiting",
        label="waiting for data",
        form=".1%",
        gauge="train_waiting_ratio",
        description="Share of this attempt's training that was spent waiting for data",
    ),
)


class StageStatus(_Record):
    """One stage of a run."""

    stage: str
    state: State
    reason: str = ""
    """One line: why it waits, or why it failed."""
    blocked: bool = False
    """True if it cannot start at present: no node fits, or an image, Secret or quota is missing."""
    attempts: int = 0
    restarts: dict[str, int] = {}
    """Attempts that ended without success, by cause, such as `evicted` or `out of memory`."""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    progress: Progress = Progress()


class RunStatus(_Record):
    """One run."""

    run: str
    lang: str
    model: str
    state: State
    reason: str = ""
    backend: str = "local"
    storage: str = ""
    submitted: float = 0.0
    stages: tuple[StageStatus, ...] = ()

    def _repr_html_(self) -> str:
        """The run and its stages, for notebooks."""
        rows = [
            (stage.stage, stage.state, f"{stage.progress.done:.0%}", stage.reason)
            for stage in self.stages
        ]
        cells = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        head = f"<b>{escape(self.run)}</b> {self.state} {escape(self.reason)}"
        return f"<p>{head}</p><table>{table}</table>"

    @property
    def current(self) -> StageStatus | None:
        """The stage to look at: the failed one, else the live one, else the next, else the last."""
        for wanted in (State.FAILED, State.RUNNING, State.STARTING, State.QUEUED):
            for stage in self.stages:
                if stage.state == wanted:
                    return stage
        for stage in self.stages:
            if stage.state != State.SUCCEEDED:
                return stage
        return self.stages[-1] if self.stages else None


def run_status(stages: Sequence[StageStatus], **about: Any) -> RunStatus:
    """The status of a run, from the statuses of its stages.

    Args:
        stages: all of them, in order.
        about: the other fields of `RunStatus`.
    """
    status = RunStatus(state=run_state(tuple(stages)), stages=tuple(stages), **about)
    current = status.current
    if current and current.state is not State.SUCCEEDED and not status.reason:
        return status.model_copy(update={"reason": current.reason})
    return status


def run_state(stages: tuple[StageStatus, ...]) -> State:
    """The state of a run whose stages are in these states."""
    states = {stage.state for stage in stages}
    if states <= {State.SUCCEEDED}:
        return State.SUCCEEDED
    live = states & {State.RUNNING, State.STARTING, State.QUEUED}
    if live:
        order = (State.RUNNING, State.STARTING, State.QUEUED)
        first = next(state for state in order if state in live)
        # A run starts once: later stages that start are part of its running, unless they cannot.
        begun = first is State.STARTING and State.SUCCEEDED in states
        return State.RUNNING if begun and not any(s.blocked for s in stages) else first
    for final in (State.FAILED, State.CANCELLED, State.STOPPED):
        if final in states:
            return final
    return State.RUNNING if State.SUCCEEDED in states else State.QUEUED
