"""The backend protocol: the operations of every place where runs run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from jobrunner.backends.resubmit import Look, unseen
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord
from jobrunner.states import RunStatus

Outcome = Literal["created", "adopted", "continued"]


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a stage's log, without its newline."""

    stage: str
    attempt: str
    text: str


class Backend(Protocol):
    """A place where runs run. `run` is always a run id."""

    name: str

    def submit(self, plan: Plan, *, look: Look = unseen) -> Outcome:
        """Starts a run, continues a stopped one, or finds that it already exists.

        Stages that the plan adds to a finished run (more languages to evaluate) are started.

        Args:
            plan: the run.
            look: called for a run that exists and has ended; stages that it returns run again if
                they are needed.
        """
        ...

    def status(self, run: str) -> RunStatus:
        """The status now. Raises UsageError if there is no such run."""
        ...

    def list(self) -> list[RunStatus]:
        """All runs, newest first."""
        ...

    def record(self, run: str) -> RunRecord:
        """The run as submitted.

        Raises:
            UsageError: there is no such run.
            UnreadableRun: a newer client made it, or its record is damaged.
        """
        ...

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        """The status now and at each change, until the run ends or `timeout` seconds have passed.

        Raises UsageError if there is no such run.
        """
        ...

    def logs(
        self, run: str, *, stage: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Lines of all stages and attempts in order; with `follow`, until the run has ended.

        Raises:
            UnknownRun: there is no such run.
        """
        ...

    def cancel(self, run: str) -> None:
        """Stops all stages; keeps the run, its storage and its results."""
        ...

    def delete(self, run: str) -> None:
        """Removes the run from the backend; results in storage stay."""
        ...
