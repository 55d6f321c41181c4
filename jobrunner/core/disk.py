"""Errors of this machine's disk as errors that a user can meet."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from jobrunner.errors import StorageError, StorageFull


@contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Turns the operating system's errors about scratch files into storage errors."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"No room left on this machine's disk to write {name}.",
                hint="Free some space and submit the run again; it goes on where it was.",
            ) from None
        raise StorageError(f"{name}: {error.strerror or error}.") from error
