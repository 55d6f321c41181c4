"""A backend whose stages a test holds, fails and looks at, and waiting with a deadline."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jobrunner.backends.base import Backend
from jobrunner.spec.plan import Plan
from jobrunner.status import RunStatus, State
from tests import builders
from tests.harness.paths import STAGES

STAGE = STAGES / "local.py"
T = TypeVar("T")


def until(
    condition: Callable[[], T], what: str = "", seconds: float = 30.0, every: float = 0.02
) -> T:
    """The condition's value as soon as it is true, looking each so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what or condition}"
        time.sleep(every)
    return value


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


@dataclass
class Bench:
    """A backend whose stages a test holds, fails and looks at."""

    backend: Backend
    control: Path
    storage: Path
    state: Path
    seconds: float = 30.0
    """In which a stage begins, and a run ends."""

    def plan(self, *languages: str, **changes: Any) -> Plan:
        values = {
            "model": "whisper-tiny",
            "storage": str(self.storage),
            "resources": {"device": "cpu"},
            **changes,
        }
        return builders.plan(evaluate__languages=list(languages), **values)

    def hold(self, stage: str) -> None:
        (self.control / f"hold-{stage}").touch()

    def release(self, stage: str) -> None:
        (self.control / f"hold-{stage}").unlink()

    def holds(self, stage: str) -> bool:
        return (self.control / f"hold-{stage}").exists()

    def stored(self, key: str) -> str | None:
        """The text of an object in storage."""
        path = self.storage / key
        return path.read_text() if path.exists() else None

    def codes(self, stage: str, *codes: int) -> None:
        (self.control / f"codes-{stage}").write_text("\n".join(map(str, codes)))

    def journal(self) -> list[str]:
        path = self.control / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def events(self, what: str = "", stage: str = "") -> list[Event]:
        parts = [line.split() for line in self.journal()]
        told = [Event(float(p[0]), p[1], p[2], p[3], p[4], int(p[5]), p[6]) for p in parts]
        return [event for event in told if what in {"", event.what} and stage in {"", event.stage}]

    def begun(self, stage: str, times: int = 1) -> Event:
        """The event when a stage has begun so often."""
        until(lambda: len(self.events("begins", stage)) >= times, f"{stage} begins", self.seconds)
        return self.events("begins", stage)[times - 1]

    def ended(self, run: str) -> RunStatus:
        """The status when the run has ended."""
        *_, last = self.backend.watch(run, timeout=self.seconds)
        assert last.state.ended, last
        return last

    def supervisor(self, run: str) -> int:
        """Process id of a run's supervisor: the parent of its stages."""
        pid = [event for event in self.events("begins") if event.run == run][-1].pid
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """True while a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), f"{pid} is gone")


def states(status: RunStatus) -> dict[str, State]:
    return {stage.stage: stage.state for stage in status.stages}
