"""The right to commit: only the attempt at a training that began last has it.

    <run>/attempts/00000003   the name of the third attempt, created only if it does not exist

A pod that was deleted by force, or whose node is cut off, may still have a process that trains.
Its successor claims the run before it looks for checkpoints. The process finds the newer claim
before it commits, and ends. A commit already in flight at that moment is a complete checkpoint of
the same run, so this short race loses nothing.
"""

from __future__ import annotations

from jobrunner.errors import Superseded
from jobrunner.spec import keys
from jobrunner.storage import Storage


class Claim:
    """One attempt's claim to a run.

    Args:
        storage: storage of the claims.
        run: run id.
        attempt: name of this attempt.
    """

    def __init__(self, storage: Storage, run: str, attempt: str) -> None:
        self._storage = storage
        self._run = run
        self._attempt = attempt
        self._number: int | None = None

    def take(self) -> None:
        """Supersedes every attempt that claimed the run before.

        Raises:
            StorageError: storage refused.
        """
        number = self._newest() + 1
        while not self._storage.create(keys.claim_file(self._run, number), self._attempt.encode()):
            number += 1
        self._number = number

    def check(self) -> None:
        """Checks that no later attempt has claimed the run; claims it if this one has not yet.

        Raises:
            Superseded: a later attempt has claimed it.
            StorageError: storage does not answer, so nothing is known.
        """
        if self._number is None:
            self.take()
        elif self._newest() > self._number:
            raise Superseded(
                f"A later attempt at {self._run} has taken over; this one saves nothing more.",
                hint=f"`jobrunner status {self._run}` shows it.",
            )

    def _newest(self) -> int:
        prefix = keys.claims_prefix(self._run)
        numbers = [entry.key.removeprefix(prefix) for entry in self._storage.list(prefix)]
        return max(map(int, numbers), default=0)
