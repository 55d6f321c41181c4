"""Writes a stage's progress on its Job, so that kubectl and one LIST show it for all runs."""

from __future__ import annotations

import threading

from jobrunner.core.attempt.jobs import Jobs
from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.errors import ClusterError
from jobrunner.spec import names
from jobrunner.states import Progress

# Seconds between two writes: 1,000 runs then make at most 100 changes a second.
INTERVAL = 10.0
# Seconds that the end of a stage waits for a write in flight.
SECONDS_TO_END = 5.0


class Announcer:
    """Writes progress in a thread of its own. An API server that is away never stops the stage.

    Args:
        jobs: the run's Jobs.
        stage: name of this stage.
        reporter: source of the progress.
        interval: seconds between two writes.
    """

    def __init__(
        self, jobs: Jobs, stage: str, reporter: ProgressReporter, interval: float = INTERVAL
    ) -> None:
        self._jobs = jobs
        self._stage = stage
        self._reporter = reporter
        self._interval = interval
        self._announced: Progress | None = None
        self._stop = False
        self._news = threading.Event()
        self._pause = threading.Event()
        reporter.watchers.append(lambda now: self._news.set())
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes the last progress, if the API server accepts it at once."""
        self._stop = True
        self._news.set()
        self._pause.set()
        self._thread.join(SECONDS_TO_END)
        if not self._thread.is_alive():
            self._announce()

    def _work(self) -> None:
        while not self._stop:
            self._news.wait()
            self._news.clear()
            self._announce()
            self._pause.wait(self._interval)

    def _announce(self) -> None:
        now = self._reporter.now
        if now == self._announced or now == Progress():
            return
        changes = {
            "metadata": {
                "annotations": {
                    names.PROGRESS_ANNOTATION: short(now),
                    names.DETAILS_ANNOTATION: now.model_dump_json(exclude_defaults=True),
                }
            }
        }
        try:
            self._jobs.patch(self._stage, changes)
        except (ClusterError, OSError):
            return
        self._announced = now


def short(progress: Progress) -> str:
    """Progress in one line: `43%, training, step 860/2000`."""
    parts = [f"{progress.done:.0%}", progress.message]
    if progress.steps:
        parts.append(f"step {progress.step}/{progress.steps}")
    return ", ".join(part for part in parts if part)
