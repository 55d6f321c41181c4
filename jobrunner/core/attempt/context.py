"""The context of a stage: the run, storage, its attempt, a scratch folder, and a stop flag."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.spec import RunSpec
from jobrunner.spec.record import RunRecord
from jobrunner.storage import Storage


class StopFlag:
    """A flag that SIGTERM sets; stages read it between steps. A second signal changes nothing."""

    def __init__(self) -> None:
        self.requested_at: float | None = None
        """`time.monotonic()` of the first signal."""

    def install(self) -> None:
        """Takes over SIGTERM for this process (main thread only)."""

        def remember(number: int, frame: FrameType | None) -> None:
            self.requested_at = self.requested_at or time.monotonic()

        signal.signal(signal.SIGTERM, remember)

    def __bool__(self) -> bool:
        return self.requested_at is not None


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """One attempt at one stage."""

    record: RunRecord
    storage: Storage
    attempt: str
    """Name unique to the attempt: the pod's uid, or a random name on this machine."""
    scratch: Path
    """A folder on a local disk. It may be kept between attempts, and may be empty."""
    progress: ProgressReporter
    log: Callable[[str], None]
    stop: StopFlag = field(default_factory=StopFlag)
    grace_seconds: float = 30.0
    """Time between SIGTERM and SIGKILL."""

    @property
    def run(self) -> str:
        """The run id."""
        return self.record.run

    @property
    def spec(self) -> RunSpec:
        """The run's spec."""
        return self.record.spec
