"""What a stage does around its work in a pod: log to storage, progress, metrics, release."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from jobrunner.core.attempt import archive
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.attempt.jobs import own_jobs
from jobrunner.core.attempt.progress import log
from jobrunner.errors import StorageError
from jobrunner.spec import keys
from jobrunner.storage import Storage


class Attempt:
    """One attempt at a stage, as the environment tells of it (see `core.__main__`)."""

    def __init__(self) -> None:
        self.stage = os.environ.get("JOBRUNNER_STAGE", "")
        rank = os.environ.get("RANK")
        self._first = rank in {None, "0"}
        self._alone = rank is None
        self._keeps_log = bool(os.environ.get("JOBRUNNER_NAMESPACE")) and self._first
        self._context: StageContext | None = None

    @contextmanager
    def keeping_its_log(self) -> Iterator[None]:
        """Leaves in storage what is said within the block; the local backend does so by itself."""
        if not self._keeps_log:
            yield
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stage.log"
            with archive.kept(file):
                yield
            context = self._context
            if context is not None and self._keeps_log:
                key = keys.log_file(context.run, self.stage, context.attempt)
                archive.store(context.storage, key, file, log)

    def lead(self, context: StageContext) -> None:
        """The work is done by other processes, which tell of it; this one waits for them."""
        self._context = context
        self._keeps_log = False

    @contextmanager
    def working(self, context: StageContext) -> Iterator[StageContext]:
        """Serves metrics and tells the progress of the stage within the block."""
        self._context = context
        if self._keeps_log and self.stage == "prepare":
            # The spec as it is by now lies with the results, which outlive the cluster's objects.
            told = context.spec.model_dump_json(indent=1).encode()
            context.storage.write(keys.run_file(context.run), told)
        with ExitStack() as until_the_end:
            port = os.environ.get("JOBRUNNER_METRICS_PORT")
            if port and self._first:
                from jobrunner.core.attempt.metrics import Metrics

                why = partial(cause_of_last_end, context.storage, context.run, self.stage)
                metrics = Metrics(context.spec, self.stage, context.attempt, why)
                until_the_end.callback(metrics.serve(int(port)))
                context.progress.watchers.append(metrics.observe)
                context.progress.listeners.append(metrics.hear)
            jobs = own_jobs(context.run) if self._first else None
            if jobs is not None:
                from jobrunner.core.attempt.announce import Announcer

                announcer = Announcer(jobs, self.stage, context.progress)
                until_the_end.callback(announcer.close)
            yield context

    def release(self) -> None:
        """Releases the stages that waited for this one; in pods alone, and once for all ranks.

        Raises:
            ClusterError: the API server refuses, or was away for too long.
        """
        context = self._context
        jobs = own_jobs(context.run) if context is not None and self._alone else None
        if context is not None and jobs is not None:
            from jobrunner.core.attempt.release import release

            release(jobs, context.spec, self.stage, context.log)


def cause_of_last_end(storage: Storage, run: str, stage: str) -> str:
    """Why the last attempt at a stage ended, as far as its log in storage tells.

    Returns:
        `stopped` after SIGTERM, `failed` after an error, `killed` where it could not leave a log.
    """
    try:
        logs = list(storage.list(f"{keys.logs_prefix(run)}{stage}/"))
        commits = storage.list(keys.checkpoints_prefix(run))
        saved = max((e.modified for e in commits if e.key.endswith(f"/{keys.COMMIT}")), default=0.0)
        newest = max(logs, key=lambda entry: entry.modified, default=None)
        if newest is None or newest.modified < saved:
            return "killed"
        *_, last = storage.read(newest.key).decode(errors="replace").splitlines() or [""]
    except StorageError:
        return "killed"
    return "stopped" if " error: Stopped after step " in f" {last}" else "failed"
