"""Everything around the work of a stage in a pod: log to storage, progress, metrics, release."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from jobrunner.core.attempt import archive
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.attempt.jobs import own_jobs
from jobrunner.spec import keys
from jobrunner.spec.record import write_record


class Attempt:
    """One attempt at a stage, as the environment describes it (see `core.__main__`)."""

    def __init__(self) -> None:
        self.stage = os.environ.get("JOBRUNNER_STAGE", "")
        rank = os.environ.get("RANK")
        self._first = rank in {None, "0"}
        self._alone = rank is None
        self._keeps_log = bool(os.environ.get("JOBRUNNER_NAMESPACE")) and self._first
        self._context: StageContext | None = None

    def logged(self, work: Callable[[], int]) -> int:
        """Does the work, stores its log and exit code, and returns the code.

        The local backend stores logs itself.
        """
        if not self._keeps_log:
            return work()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stage.log"
            with archive.kept(file):
                code = work()
            if self._context is not None and self._keeps_log:
                archive.store(self._context, self.stage, file, code)
        return code

    def lead(self, context: StageContext) -> None:
        """Marks this process as a launcher: the first rank reports and stores the log itself."""
        self._context = context
        self._keeps_log = False

    @contextmanager
    def working(self, context: StageContext) -> Iterator[StageContext]:
        """Serves metrics and reports the progress of the stage within the block."""
        self._context = context
        if self._keeps_log and self.stage == "prepare":
            # The record is stored with the results, which outlive the cluster's objects.
            context.storage.write(keys.run_file(context.run), write_record(context.record).encode())
        with ExitStack() as until_the_end:
            port = os.environ.get("JOBRUNNER_METRICS_PORT")
            if port and self._first:
                from jobrunner.core.attempt.metrics import Metrics

                why = partial(archive.cause_of_last_end, context, self.stage)
                metrics = Metrics(context.record, self.stage, context.attempt, why)
                until_the_end.callback(metrics.serve(int(port)))
                context.progress.watchers.append(metrics.observe)
                context.progress.listeners.append(metrics.count)
            jobs = own_jobs(context.run) if self._first else None
            if jobs is not None:
                from jobrunner.core.attempt.announce import Announcer

                announcer = Announcer(jobs, self.stage, context.progress)
                until_the_end.callback(announcer.close)
            yield context

    def crashed(self, error: BaseException) -> bool:
        """Notes an unexpected error; True if the attempt before ended with the same one."""
        # Other ranks do not know the step.
        if self._context is None or not self._first:
            return False
        from jobrunner.core.attempt import crash

        return crash.repeats(self._context, self.stage, error)

    def release(self) -> None:
        """Releases the stages that wait for this one; only in pods, and once for all ranks.

        Raises:
            ClusterError: the API server refuses, or was away for too long.
        """
        context = self._context
        jobs = own_jobs(context.run) if context is not None and self._alone else None
        if context is not None and jobs is not None:
            from jobrunner.core.attempt.release import release

            release(jobs, context.record, self.stage, context.log)
