"""Runs of this machine and of the cluster together, for commands about existing runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jobrunner.backends.base import Backend, LogLine, Outcome
from jobrunner.backends.resubmit import Look, unseen
from jobrunner.errors import ClusterError, UnreadableRun, UsageError
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord
from jobrunner.states import RunStatus


class Anywhere:
    """Both backends: runs that this machine knows are here, others are looked for on the cluster.

    Args:
        here: the local backend.
        connect: connects to the cluster; called when it is first needed.
        warn: gets one line if the cluster cannot be asked for its runs.
    """

    name = "anywhere"

    def __init__(
        self, here: Backend, connect: Callable[[], Backend], warn: Callable[[str], None]
    ) -> None:
        self._here = here
        self._connect = connect
        self._connected: Backend | None = None
        self._warn = warn

    def submit(self, plan: Plan, *, look: Look = unseen) -> Outcome:
        return self.backend_of(plan.run).submit(plan, look=look)

    def status(self, run: str) -> RunStatus:
        return self.backend_of(run).status(run)

    def list(self) -> list[RunStatus]:
        statuses = self._here.list()
        try:
            statuses += self._cluster().list()
        except (ClusterError, UsageError) as error:
            self._warn(f"Runs on the cluster are not shown: {error}")
        return sorted(statuses, key=lambda status: (-status.submitted, status.run))

    def record(self, run: str) -> RunRecord:
        return self.backend_of(run).record(run)

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        return self.backend_of(run).watch(run, timeout=timeout)

    def logs(
        self, run: str, *, stage: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        return self.backend_of(run).logs(run, stage=stage, follow=follow)

    def cancel(self, run: str) -> None:
        self.backend_of(run).cancel(run)

    def delete(self, run: str) -> None:
        self.backend_of(run).delete(run)

    def backend_of(self, run: str) -> Backend:
        """The backend that has a run, or may have it."""
        try:
            self._here.record(run)
        except UnreadableRun:
            return self._here
        except UsageError:
            return self._cluster()
        return self._here

    def _cluster(self) -> Backend:
        self._connected = self._connected or self._connect()
        return self._connected
