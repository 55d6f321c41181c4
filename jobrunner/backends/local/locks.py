"""Locks that the kernel holds for open files: they end with the last process that has them.

Child processes that get the file descriptor inherit the lock, so it also shows whether a child of
a dead process is still alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType

from jobrunner.errors import disk_errors


class Lock:
    """An exclusive lock on a file, held until `close` and until all heirs have ended.

    Args:
        fd: the open, locked file.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Closes this process's file. A second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def note(self, text: str) -> None:
        """Replaces the file's content, which shows others who holds the lock."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(), 0)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def take(path: Path) -> Lock:
    """Takes the lock, after waiting for any other holder."""
    lock = _take(path, fcntl.LOCK_EX)
    assert lock is not None
    return lock


def take_if_free(path: Path) -> Lock | None:
    """Takes the lock; None if another process has it."""
    return _take(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """True if a process holds the lock. Checking never makes it look held to others who check."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _take(path: Path, how: int) -> Lock | None:
    while True:
        with disk_errors(f"in {path.parent}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, how)
            if _same(fd, path):
                return Lock(fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        # The file was removed while this process waited for it: the lock is now on a new file.
        os.close(fd)


def _same(fd: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False
