"""Who may commit: of the attempts at one training, the one that began last.

    <run>/attempts/00000003   the name of the third attempt, created only if it is not there

A pod that was deleted by force, or whose node is cut off, may still have a process that trains.
Its successor claims the run before it looks for checkpoints; the process finds the newer claim
before it commits and ends. A commit that was already on its way then is a whole checkpoint of the
same run, so in the few milliseconds that storage cannot guard nothing is at risk.
"""

from __future__ import annotations

from jobrunner.errors import Superseded
from jobrunner.spec import keys
from jobrunner.storage import Storage


class Claim:
    """One attempt's claim to a run.

    Args:
        storage: where claims lie.
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
        """Makes sure that no attempt has claimed the run since; claims it where none was taken.

        Raises:
            Superseded: one has.
            StorageError: storage does not answer, so that nothing is known.
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
        found = [entry.key.removeprefix(prefix) for entry in self._storage.list(prefix)]
        return max(map(int, found), default=0)
