"""The operations of the local backend: each one reads or changes a run's files for a moment.

One supervisor process per run (supervisor.py) does the work, so any number of shells can submit,
follow and cancel at the same time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jobrunner.backends import resubmit
from jobrunner.backends.base import LogLine, Outcome
from jobrunner.backends.local import locks, logs
from jobrunner.backends.local import records as states
from jobrunner.backends.local.devices import DeviceQueue
from jobrunner.backends.local.folder import RunFolder, runs, state_directory
from jobrunner.backends.local.launch import end_processes, start_supervisor
from jobrunner.backends.local.records import LocalRun, RunState
from jobrunner.backends.resubmit import Look, unseen
from jobrunner.errors import JobrunnerError, SpecError, StorageError, UnknownRun, UnreadableRun
from jobrunner.spec import keys, names
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord, write_record
from jobrunner.states import RunStatus, State, run_state, run_status

# Seconds beyond the grace that a run may need to stop: it stores its logs.
TIME_TO_STOP = 60.0


def connect(namespace: str) -> LocalBackend:
    """The backend of this machine, which has no namespaces."""
    return LocalBackend()


class LocalBackend:
    """Runs as processes of this machine.

    Args:
        state: the state directory; `$JOBRUNNER_STATE` or the user's unless given.
        command: the program of a stage.
        grace_seconds: seconds between SIGTERM and SIGKILL.
        retry_seconds: seconds before the second attempt, doubled for each further one.
    """

    name = "local"

    def __init__(
        self,
        state: Path | None = None,
        *,
        command: Sequence[str] = (sys.executable, "-m", "jobrunner.core"),
        grace_seconds: float = 30.0,
        retry_seconds: float = 2.0,
    ) -> None:
        self._directory = state or state_directory()
        self._command = tuple(command)
        self._grace_seconds = grace_seconds
        self._retry_seconds = retry_seconds

    def submit(self, plan: Plan, *, look: Look = unseen) -> Outcome:
        """Submits a run; see `Backend.submit`.

        Raises:
            StorageError: storage or the state directory cannot be written.
            UsageError: the run has another storage, or the id belongs to another run.
        """
        if not plan.spec.storage:
            raise SpecError("storage", "is not given.", hint="Name a folder with --storage.")
        folder = self._folder(plan.run)
        while True:
            with locks.take(folder.submit_lock):
                if not folder.is_live():
                    return self._start(folder, plan.record, look)
                if not self._is_ending(folder):
                    return self._extend(folder, plan.record)
            self._until_stopped(folder)

    def status(self, run: str) -> RunStatus:
        folder = self._folder(run)
        try:
            return self._status(folder)
        except (UnreadableRun, StorageError) as error:
            return _unreadable(folder, error)

    def _status(self, folder: RunFolder) -> RunStatus:
        live = folder.is_live()
        submitted, state = folder.submitted(), self._state_of(folder)
        # Checked before and after: no supervisor could change the state while it was read.
        if not live and not folder.is_live():
            state = states.without_supervisor(state)
        stages = tuple(
            stage.model_copy(update={"progress": folder.progress(stage.stage)})
            for stage in state.stages
        )
        spec = submitted.spec
        return run_status(
            stages,
            run=folder.run,
            lang=spec.lang,
            model=names.model_name(spec.model),
            backend=self.name,
            storage=spec.storage,
            submitted=submitted.submitted,
        )

    def list(self) -> list[RunStatus]:
        found = []
        for folder in runs(self._directory):
            try:
                found.append(self.status(folder.run))
            except UnknownRun:
                continue  # deleted meanwhile
            except JobrunnerError as error:
                found.append(_unreadable(folder, error))
        return sorted(found, key=lambda status: (-status.submitted, status.run))

    def record(self, run: str) -> RunRecord:
        return self._folder(run).submitted().record

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        deadline = time.monotonic() + timeout if timeout is not None else None
        shown = status = self.status(run)
        yield shown
        while not status.state.ended and (deadline is None or time.monotonic() < deadline):
            time.sleep(logs.INTERVAL)
            try:
                status = self.status(run)
            except UnknownRun:
                return  # deleted meanwhile
            if status != shown:
                shown = status
                yield shown

    def logs(
        self, run: str, *, stage: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        folder = self._folder(run)
        folder.submitted()
        return logs.lines(folder, stage, follow=follow, ended=self._ended(run, stage))

    def cancel(self, run: str) -> None:
        """Cancels a run and waits until none of its processes is alive; see `Backend.cancel`.

        Raises:
            UsageError: there is no such run.
            JobrunnerError: it did not stop in time.
        """
        folder = self._folder(run)
        if not folder.exists():
            folder.submitted()
        self._stop(folder)
        with locks.take(folder.submit_lock):
            if folder.is_live():
                return  # submitted again meanwhile
            end_processes(folder).close()
            state = states.without_supervisor(self._state_of(folder))
            if run_state(state.stages) is State.STOPPED:
                folder.save_state(state.ended_as(State.CANCELLED, "cancelled"))

    def delete(self, run: str) -> None:
        folder = self._folder(run)
        if not folder.exists():
            folder.submitted()
        while True:
            self._stop(folder)
            with locks.take(folder.submit_lock):
                if not folder.is_live():
                    end_processes(folder).close()
                    folder.remove()
                    return

    def _folder(self, run: str) -> RunFolder:
        return RunFolder(self._directory, names.check_run_id(run))

    def _state_of(self, folder: RunFolder) -> RunState:
        state = folder.state()
        return (
            state if state.stages else states.started(plans.plan(folder.submitted().record), state)
        )

    def _is_ending(self, folder: RunFolder) -> bool:
        """True for a live run that is being cancelled, or whose supervisor is about to exit."""
        over = run_state(self._state_of(folder).stages) is State.SUCCEEDED
        return over or folder.cancel_marker.exists()

    def _extend(self, folder: RunFolder, asked: RunRecord) -> Outcome:
        """Submits to a live run, whose supervisor then adds the new languages."""
        before = folder.submitted()
        resubmit.check(asked, before.record, live=True)
        planned, done = plans.plan(before.record), folder.state().succeeded
        record = resubmit.merged(asked, planned, done=done, live=True)
        if record is before.record:
            return "adopted"
        _write_record(record)
        folder.save(before.model_copy(update={"record": record}))
        return "continued"

    def _start(self, folder: RunFolder, asked: RunRecord, look: Look) -> Outcome:
        """Submits a run that is not live. The caller holds its submit lock."""
        before, old = self._known(folder, asked)
        record = asked
        if before:
            resubmit.check(asked, before.record, live=False)
            planned = plans.plan(before.record)
            record = resubmit.merged(asked, planned, done=old.succeeded, live=False)
        state = states.started(plans.plan(record), old, look() if old.succeeded else ())
        if before and run_state(state.stages) is State.SUCCEEDED:
            return "adopted"
        _write_record(record)
        queue = DeviceQueue(folder.state_directory / "devices")
        with (
            locks.take(folder.supervisor_lock) as own,
            end_processes(folder) as shared,
            queue.reserve(folder.run, submitted=(submitted := time.time())) as place,
        ):
            folder.cancel_marker.unlink(missing_ok=True)
            for stage in state.stages:
                again = stage.stage in old.succeeded and stage.state is State.WAITING
                if not before or again:
                    folder.progress_file(stage.stage).unlink(missing_ok=True)
            folder.save_state(state)
            folder.save(
                LocalRun(
                    submitted=submitted,
                    record=record,
                    command=self._command,
                    grace_seconds=self._grace_seconds,
                    retry_seconds=self._retry_seconds,
                )
            )
            start_supervisor(folder, own, shared, place)
        return "continued" if before else "created"

    def _known(self, folder: RunFolder, asked: RunRecord) -> tuple[LocalRun | None, RunState]:
        """The recorded run and its state; empty if unreadable, or gone from its storage."""
        try:
            before, state = folder.submitted(), folder.state()
        except (UnknownRun, StorageError):
            return None, RunState()
        try:
            if before.spec.open_storage().stat(keys.run_file(folder.run)) is None:
                return None, RunState()
        except StorageError:
            # A storage that it leaves need not answer; `resubmit.check` refuses the move.
            if before.spec.storage == asked.spec.storage:
                raise
        return before, state

    def _stop(self, folder: RunFolder) -> None:
        with locks.take(folder.submit_lock):
            if folder.is_live():
                folder.mark_cancelled()
        self._until_stopped(folder)

    def _until_stopped(self, folder: RunFolder) -> None:
        seconds = TIME_TO_STOP + self._grace_seconds
        deadline = time.monotonic() + seconds
        while folder.is_live():
            if time.monotonic() > deadline:
                raise JobrunnerError(
                    f"{folder.run} did not stop in {seconds:g} s.",
                    hint=f"See {folder.supervisor_log}.",
                )
            time.sleep(0.05)

    def _ended(self, run: str, stage: str | None) -> Callable[[], bool]:
        def ended() -> bool:
            try:
                status = self.status(run)
            except JobrunnerError:
                return True  # deleted meanwhile
            return status.state.ended or any(
                one.stage == stage and one.state.ended for one in status.stages
            )

        return ended


def _unreadable(folder: RunFolder, error: JobrunnerError) -> RunStatus:
    """A run whose record cannot be read here: a row like the others."""
    return RunStatus(
        run=folder.run,
        lang="",
        model="",
        state=State.RUNNING if folder.is_live() else State.STOPPED,
        reason=error.message if isinstance(error, UnreadableRun) else str(error),
        submitted=folder.recorded(),
    )


def _write_record(record: RunRecord) -> None:
    storage = record.spec.open_storage()
    storage.write(keys.run_file(record.run), write_record(record).encode())
