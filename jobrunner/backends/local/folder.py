"""The files of one run below the state directory.

runs/<run>/record.json                  the submitted run
runs/<run>/spec.json                    the record that stages read
runs/<run>/state.json                   states of stages and attempts
runs/<run>/cancel                       exists if the run is to stop
runs/<run>/supervisor.log
runs/<run>/progress/<stage>.json        written by the stage
runs/<run>/logs/<stage>/<attempt>.log
runs/<run>/scratch/<stage>/
locks/<run>.{submit,supervisor,processes}
devices/…                               the queue (devices.py)
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import platformdirs
from pydantic import BaseModel, ValidationError

from jobrunner.backends.local import locks
from jobrunner.backends.local.records import LocalAttempt, LocalRun, RunState
from jobrunner.errors import NotFound, StorageError, UnknownRun, UsageError, disk_errors
from jobrunner.spec.record import write_record
from jobrunner.states import Progress
from jobrunner.storage.local import LocalStorage

_M = TypeVar("_M", bound=BaseModel)


STATE, SCRATCH = "JOBRUNNER_STATE", "JOBRUNNER_SCRATCH"


def state_directory() -> Path:
    """`$JOBRUNNER_STATE`, or the user's state directory. Raises UsageError if it is a file."""
    given = os.environ.get(STATE)
    folder = Path(os.path.abspath(given)) if given else platformdirs.user_state_path("jobrunner")
    place = nearest(folder)
    if not place.is_dir():
        problem = f"{STATE}: {place} is not a folder."
        raise UsageError(problem, hint=f"Set {STATE} to a folder, or unset it.")
    return folder


def nearest(folder: Path) -> Path:
    """The folder, or the closest existing one above it, in which it would be created."""
    # os.path.exists is False if the path to it may not be read; Path.exists raises.
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))


def check_folders() -> None:
    """Checks that the state directory and `$JOBRUNNER_SCRATCH` can be written.

    Raises:
        UsageError: one of them cannot; the message names its variable.
    """
    given = os.environ.get(SCRATCH)
    scratch = [(SCRATCH, Path(os.path.abspath(given)))] if given else []
    for name, folder in [(STATE, state_directory()), *scratch]:
        place = nearest(folder)
        try:
            # The file has no name. os.access would believe root everywhere, also on a network.
            tempfile.TemporaryFile(dir=place).close()
        except OSError as error:
            problem = f"{place}: {(error.strerror or str(error)).lower()}"
        else:
            continue
        raise UsageError(f"{name}: {problem}.", hint=f"Set {name} to a folder that you can write.")


def runs(state: Path) -> Iterator[RunFolder]:
    """The folders of all runs, broken ones too."""
    try:
        names = sorted(path.name for path in (state / "runs").iterdir())
    except FileNotFoundError:
        return
    for name in names:
        folder = RunFolder(state, name)
        if not name.startswith(".") and folder.exists():
            yield folder


class RunFolder:
    """Paths, reads and writes. Writes replace files atomically, so a read is never partial.

    Args:
        state: the state directory.
        run: the run id.
    """

    def __init__(self, state: Path, run: str) -> None:
        self.run = run
        self.state_directory = state
        self.path = state / "runs" / run
        self.cancel_marker = self.path / "cancel"
        self.spec_file = self.path / "spec.json"
        self.supervisor_log = self.path / "supervisor.log"
        self.submit_lock = state / "locks" / f"{run}.submit"
        self.supervisor_lock = state / "locks" / f"{run}.supervisor"
        self.processes_lock = state / "locks" / f"{run}.processes"
        self._storage = LocalStorage(state)

    def log(self, stage: str, attempt: str) -> Path:
        """The log of one attempt."""
        return self.path / "logs" / stage / f"{attempt}.log"

    def progress_file(self, stage: str) -> Path:
        """The file to which a stage writes its progress."""
        return self.path / "progress" / f"{stage}.json"

    def scratch(self, stage: str) -> Path:
        """The stage's scratch folder, below `$JOBRUNNER_SCRATCH` if that is set."""
        base = os.environ.get(SCRATCH)
        return (Path(base) / self.run if base else self.path / "scratch") / stage

    def exists(self) -> bool:
        """True if the run was submitted here."""
        return (self.path / "record.json").exists()

    def is_live(self) -> bool:
        """True while a supervisor looks after the run."""
        return locks.is_held(self.supervisor_lock)

    def submitted(self) -> LocalRun:
        """Reads the submitted run.

        Raises:
            UnknownRun: there is no such run.
            UnreadableRun: a newer client made it.
            StorageError: the file cannot be read.
        """
        try:
            return self._read(LocalRun, "record.json")
        except NotFound:
            raise UnknownRun(self.run, "on this machine") from None

    def recorded(self) -> float:
        """Unix time at which the record was written; 0 if it is gone."""
        try:
            return (self.path / "record.json").stat().st_mtime
        except OSError:
            return 0.0

    def record_version(self) -> tuple[int, int]:
        """A value that changes whenever the record is rewritten."""
        stat = (self.path / "record.json").stat()
        return stat.st_ino, stat.st_mtime_ns

    def state(self) -> RunState:
        """Reads the run's state. Raises StorageError if the file cannot be read."""
        try:
            return self._read(RunState, "state.json")
        except NotFound:
            return RunState()

    def progress(self, stage: str) -> Progress:
        """The progress that the stage wrote last."""
        try:
            return Progress.model_validate_json(self.progress_file(stage).read_bytes())
        except (OSError, ValidationError):
            return Progress()

    def has_spoken(self, attempt: LocalAttempt) -> bool:
        """True if an attempt has written to its log or its progress file."""
        if self.log(attempt.stage, attempt.id).stat().st_size:
            return True
        return self.progress(attempt.stage).updated >= attempt.started

    def save(self, run: LocalRun) -> None:
        """Writes the submitted run. Raises StorageFull, StorageError."""
        text = write_record(run.record)
        self._storage.write(f"runs/{self.run}/spec.json", text.encode())
        self._write("record.json", run)

    def save_state(self, state: RunState) -> None:
        """Writes the run's state. Raises StorageFull, StorageError."""
        self._write("state.json", state)

    def mark_cancelled(self) -> None:
        """Asks the supervisor to stop the run."""
        self._storage.write(f"runs/{self.run}/cancel", b"")

    def remove(self) -> None:
        """Removes the run's folder and locks. The caller holds the submit lock."""
        gone = self.path.parent / f".{uuid.uuid4().hex}"
        with disk_errors(f"in {self.path}"):
            if self.path.exists():
                self.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        for lock in (self.supervisor_lock, self.processes_lock, self.submit_lock):
            lock.unlink(missing_ok=True)

    def _read(self, kind: type[_M], name: str) -> _M:
        try:
            return kind.model_validate_json(self._storage.read(f"runs/{self.run}/{name}"))
        except ValidationError:
            raise StorageError(
                f"{self.path / name} cannot be read.",
                hint=f"`jobrunner delete {self.run}` forgets the run; submit it again to "
                "continue from what is in storage.",
            ) from None

    def _write(self, name: str, value: BaseModel) -> None:
        self._storage.write(f"runs/{self.run}/{name}", value.model_dump_json(indent=1).encode())
