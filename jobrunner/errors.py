"""Every error that a user can meet, and the exit code it ends with.

    JobrunnerError           1   the run failed
    ├── OutputError          1   stdout takes nothing more; what was asked for may have been done
    ├── UsageError           2   wrong input: the field, what is wrong, what would be right
    │   ├── SpecError        2   a field of the spec has an invalid value
    │   ├── UnknownRun       2   no run has that id
    │   └── UnreadableRun    2   a recorded run that this version cannot read
    ├── ClusterError         3   the cluster or its API
    ├── StorageError         3   reading or writing storage
    │   ├── StorageFull      3   no room left; nothing that was acknowledged is lost
    │   └── NotFound         3   the key is not there
    │       └── Lost        69   what an earlier stage stored is missing or damaged; submit again
    ├── WaitTimeout          4   --wait gave up; the run continues
    ├── DataError           65   the data cannot be used: a second try would not help
    ├── CheckpointError     66   there are checkpoints, but none verifies
    ├── DeviceError         67   a GPU was requested and none is visible
    ├── Superseded          68   another attempt at the same training has begun
    ├── Diverged            70   training went wrong, and would in the same way again
    ├── Repeated            71   an unexpected error, the same as that of the attempt before
    ├── OutOfMemory         72   not even one window fits into the device's memory
    └── Interrupted        143   SIGTERM: the stage stopped between steps and can resume
    Detached               130   Ctrl-C while following; the run continues

Only the entry points (`cli`, `core.__main__`, the local supervisor) turn these into exit codes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

# Exit codes after which a second attempt would fail in the same way. The chart's
# podFailurePolicy and the local supervisor read this one list.
PERMANENT_EXIT_CODES = (2, 65, 66, 67, 68, 69, 70, 71, 72)


class JobrunnerError(Exception):
    """An error for the user: what went wrong, and what to do next.

    `str()` gives one line: the message, then the hint.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class OutputError(JobrunnerError):
    """Stdout is closed, or what it is redirected to is full."""


class UsageError(JobrunnerError):
    """Input that the user can correct."""

    exit_code = 2


class SpecError(UsageError):
    """A field of the spec has an invalid value."""

    def __init__(self, field: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{field}: {problem}", hint=hint)
        self.field = field


class UnknownRun(UsageError):
    """No run with that id was found."""

    def __init__(self, run: str, where: str) -> None:
        hint = "`jobrunner list` shows all runs."
        super().__init__(f"There is no run {run} {where}.", hint=hint)


class UnreadableRun(UsageError):
    """A recorded run that this version cannot read: a newer client made it, or it is damaged."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, hint="`pip install --upgrade jobrunner`, if others can read it.")


class ClusterError(JobrunnerError):
    """The cluster refused, or did not answer."""

    exit_code = 3


class StorageError(JobrunnerError):
    """Storage refused, or did not answer."""

    exit_code = 3


class StorageFull(StorageError):
    """No room left on the storage or on the disk."""


class NotFound(StorageError):
    """The key is not in storage."""


class Lost(NotFound):
    """Something that an earlier stage stored is missing or damaged.

    Another attempt at the same stage would find the same. A submit runs the earlier stages again.
    """

    exit_code = 69

    def __init__(self, message: str, *, hint: str = "") -> None:
        again = "Submit the run again; the missing part is then made again."
        super().__init__(message, hint=hint or again)


class WaitTimeout(JobrunnerError):
    """Waiting ended before the run did."""

    exit_code = 4


class DataError(JobrunnerError):
    """The data cannot be used as it is."""

    exit_code = 65


class CheckpointError(JobrunnerError):
    """Checkpoints exist, but none can be trusted."""

    exit_code = 66


class DeviceError(JobrunnerError):
    """The requested devices are not available."""

    exit_code = 67


class Superseded(JobrunnerError):
    """Another attempt is training this run."""

    exit_code = 68


class Diverged(JobrunnerError):
    """Training went wrong; runs are reproducible, so it would again."""

    exit_code = 70


class Repeated(JobrunnerError):
    """An unexpected error, the same and at the same step as that of the attempt before."""

    exit_code = 71


class OutOfMemory(JobrunnerError):
    """Training needs more memory than the device has, however little it takes at a time."""

    exit_code = 72


class Interrupted(JobrunnerError):
    """The stage was asked to stop; its state is saved."""

    exit_code = 143


class Detached(Exception):
    """The user stopped following. The run continues."""

    exit_code = 130


def full_disk(error: OSError, where: str) -> StorageFull | None:
    """The error for a full disk; None if something else went wrong.

    Args:
        error: the operating system's error.
        where: the words after "No room left", such as `to write a.txt`.
    """
    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return None
    hint = "Free some space and submit the run again; it continues where it stopped."
    return StorageFull(f"No room left {where}.", hint=hint)


@contextmanager
def disk_errors(where: str, *, name: str = "") -> Iterator[None]:
    """Turns the operating system's errors about files of this machine into storage errors.

    Args:
        where: see `full_disk`.
        name: name of the file, for errors that do not name it.
    """
    try:
        yield
    except OSError as error:
        if full := full_disk(error, where):
            raise full from None
        what = error.filename or name or where
        raise StorageError(f"{what}: {error.strerror or error}.") from error
