"""A backend whose stages a test holds, fails and looks at; local.py and cluster/ have one each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from jobrunner.backends.base import Backend
from jobrunner.spec.plan import Plan
from jobrunner.states import RunStatus, State
from tests.harness.waiting import until


@dataclass(frozen=True)
class Event:
    """A line of the stages' journal."""

    time: float
    what: str
    stage: str
    run: str
    attempt: str
    pid: int
    devices: str


@dataclass(kw_only=True)
class Harness(ABC):
    """A backend whose stages a test holds, fails and looks at."""

    backend: Backend
    seconds: float = 30.0
    """In which a stage begins, and a run ends."""

    @abstractmethod
    def plan(self, *languages: str, **changes: Any) -> Plan:
        """The plan of a run on this backend.

        Args:
            languages: to evaluate in.
            changes: fields of the spec.
        """

    @abstractmethod
    def hold(self, stage: str) -> None:
        """Each attempt at the stage waits from now on, until it is released."""

    @abstractmethod
    def release(self, stage: str) -> None: ...

    @abstractmethod
    def holds(self, stage: str) -> bool: ...

    @abstractmethod
    def codes(self, stage: str, *codes: int) -> None:
        """Exit codes of the attempts at a stage; 0 after the last one."""

    @abstractmethod
    def stored(self, key: str) -> str | None:
        """The text of an object in storage."""

    @abstractmethod
    def journal(self) -> list[str]:
        """The lines that the stages wrote when they began and ended."""

    def events(self, what: str = "", stage: str = "") -> list[Event]:
        parts = [line.split() for line in self.journal()]
        found = [Event(float(p[0]), p[1], p[2], p[3], p[4], int(p[5]), p[6]) for p in parts]
        return [event for event in found if what in {"", event.what} and stage in {"", event.stage}]

    def began(self) -> list[str]:
        """Stages in the order in which the attempts at them began."""
        return [event.stage for event in self.events("begins")]

    def begun(self, stage: str, times: int = 1) -> Event:
        """The event when a stage has begun this number of times."""
        until(lambda: len(self.events("begins", stage)) >= times, f"{stage} begins", self.seconds)
        return self.events("begins", stage)[times - 1]

    def ended(self, run: str) -> RunStatus:
        """The status when the run has ended."""
        *_, last = self.backend.watch(run, timeout=self.seconds)
        assert last.state.ended, last
        return last

    def held_in_train(self) -> str:
        """The id of a run whose training has begun and is held."""
        self.hold("train")
        plan = self.plan()
        self.backend.submit(plan)
        self.begun("train")
        return plan.run


def states(status: RunStatus) -> dict[str, State]:
    return {stage.stage: stage.state for stage in status.stages}
