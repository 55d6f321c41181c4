"""The queue for this machine's devices: one slot for the CPU and one for each GPU.

Slots and tickets are locked files, so a process that dies frees its own. Runs are served in the
order of their submits. A stage that wants several GPUs is never overtaken by a stage that wants
some of the same GPUs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobrunner.backends.local import locks
from jobrunner.backends.local.locks import Lock
from jobrunner.errors import disk_errors

CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A place in the queue."""

    path: Path
    lock: Lock
    run: str
    slots: tuple[str, ...]
    """Slots that the stage can use."""
    count: int
    """Number of slots that it wants."""


@dataclass(frozen=True, kw_only=True)
class DeviceClaim:
    """Slots of a stage. They are free again when no process holds their files open."""

    slots: tuple[str, ...]
    held: tuple[Lock, ...]

    def release(self) -> None:
        """Closes this process's locks."""
        for lock in self.held:
            lock.close()


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Reason to wait: it is not the ticket's turn, or not enough slots are free."""

    reason: str
    """One line, such as `waits for the CPU: 2 runs before it`."""
    before: int
    """Other runs that have slots or earlier tickets."""


class DeviceQueue:
    """All tickets and slots of this machine.

    Args:
        folder: folder of their files.
    """

    def __init__(self, folder: Path) -> None:
        self._mutex = folder / "mutex"
        self._tickets = folder / "tickets"
        self._slots = folder / "slots"

    def enter(
        self, run: str, *, submitted: float, place: int, slots: Sequence[str], count: int
    ) -> Ticket:
        """Takes a ticket; tickets are ordered by `submitted` (Unix time), then by `place`.

        Raises:
            StorageError: the state directory cannot be written.
        """
        path = self._tickets / f"{submitted:020.6f}-{run}-{place:04d}"
        lock = self._enter(path, run, slots)
        return Ticket(path=path, lock=lock, run=run, slots=tuple(slots), count=count)

    def reserve(self, run: str, *, submitted: float) -> Lock:
        """Keeps a run's place until its supervisor has started and its stages have tickets.

        It is not known yet which slots they want, so no run behind it gets any slot until then. The
        last holder of the lock passes it to `give_up`.

        Raises:
            StorageError: the state directory cannot be written.
        """
        return self._enter(self._reservation(run, submitted), run, ())

    def give_up(self, lock: Lock, run: str, *, submitted: float) -> None:
        """Ends a reservation."""
        with locks.take(self._mutex):
            self._reservation(run, submitted).unlink(missing_ok=True)
            lock.close()

    def leave(self, ticket: Ticket) -> None:
        """Gives a ticket back."""
        with locks.take(self._mutex):
            ticket.path.unlink(missing_ok=True)
            ticket.lock.close()

    def take(self, ticket: Ticket) -> DeviceClaim | Wait:
        """Returns the slots if it is the ticket's turn, else the reason to wait."""
        with locks.take(self._mutex):
            ahead = self._ahead(ticket)
            free: dict[str, Lock] = {}
            users = []
            for slot in ticket.slots:
                lock = locks.take_if_free(self._slot(slot))
                if lock:
                    free[slot] = lock
                else:
                    users.append(_read(self._slot(slot)))
            chosen = list(free)[: ticket.count] if not ahead else []
            if len(chosen) == ticket.count:
                return self._claim(ticket, free, chosen)
            for lock in free.values():
                lock.close()
        before = len({*users, *ahead} - {ticket.run, ""})
        return Wait(reason=_reason(ticket, before), before=before)

    def _enter(self, path: Path, run: str, slots: Sequence[str]) -> Lock:
        with locks.take(self._mutex):
            lock = locks.take(path)
            try:
                with disk_errors(f"in {path}"):
                    lock.note(json.dumps({"run": run, "slots": list(slots)}))
            except BaseException:
                path.unlink()
                lock.close()
                raise
        return lock

    def _reservation(self, run: str, submitted: float) -> Path:
        # Sorts before all tickets of the run.
        return self._tickets / f"{submitted:020.6f}-{run}-"

    def _slot(self, slot: str) -> Path:
        # The name of a part of a GPU can have slashes (MIG-GPU-…/1/0).
        return self._slots / slot.replace("/", "_")

    def _claim(self, ticket: Ticket, free: dict[str, Lock], chosen: list[str]) -> DeviceClaim:
        for slot in chosen:
            # Only a message for others that wait; a full disk must not keep a stage from working.
            with contextlib.suppress(OSError):
                free[slot].note(ticket.run)
        for slot in free.keys() - set(chosen):
            free[slot].close()
        ticket.path.unlink(missing_ok=True)
        ticket.lock.close()
        return DeviceClaim(slots=tuple(chosen), held=tuple(free[slot] for slot in chosen))

    def _ahead(self, ticket: Ticket) -> list[str]:
        """Runs with an earlier ticket for any of the same slots; removes tickets of the dead."""
        runs = []
        for path in sorted(self._tickets.iterdir()):
            if path.name >= ticket.path.name:
                break
            dead = locks.take_if_free(path)
            if dead:
                path.unlink()
                dead.close()
                continue
            content = json.loads(_read(path))
            if not content["slots"] or set(content["slots"]) & set(ticket.slots):
                runs.append(content["run"])
        return runs


def _read(path: Path) -> str:
    with disk_errors(f"in {path}"):
        return path.read_text()


def _reason(ticket: Ticket, before: int) -> str:
    if ticket.slots == (CPU,):
        wanted = "the CPU"
    else:
        wanted = f"{ticket.count} GPU{'s' * (ticket.count > 1)}"
    if not before:
        return f"waits for {wanted}, behind other stages of this run"
    return f"waits for {wanted}: {before} run{'s' * (before > 1)} before it"
