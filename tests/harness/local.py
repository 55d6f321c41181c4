"""The local backend with stages that a test steers by files (see stages/local.py)."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner.spec.plan import Plan
from tests import builders
from tests.harness.backend import Harness
from tests.harness.paths import STAGES
from tests.harness.waiting import until

STAGE = STAGES / "local.py"
COMMAND = (sys.executable, "-S", str(STAGE))


@dataclass(kw_only=True)
class LocalHarness(Harness):
    """The folders of a local backend, and the files that its stages look for."""

    control: Path
    storage: Path
    state: Path

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

    def codes(self, stage: str, *codes: int) -> None:
        (self.control / f"codes-{stage}").write_text("\n".join(map(str, codes)))

    def stored(self, key: str) -> str | None:
        path = self.storage / key
        return path.read_text() if path.exists() else None

    def journal(self) -> list[str]:
        path = self.control / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def supervisor(self, run: str) -> int:
        """Process id of a run's supervisor: the parent of its stages."""
        pid = [event for event in self.events("begins") if event.run == run][-1].pid
        return parent(pid)


def parent(pid: int) -> int:
    """The process that started another."""
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
