"""Prepared speech and base models that no run in a storage uses, and their removal."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jobrunner.errors import UsageError
from jobrunner.runner.space.inventory import Inventory, SharedFolder
from jobrunner.storage import Storage
from jobrunner.storage.folders import MANIFEST


def unused(held: Inventory, *, live: Collection[str], before: float) -> tuple[SharedFolder, ...]:
    """Shared folders that no run uses, and that nobody has written to for some time.

    Args:
        held: what the storage has.
        live: runs that have not ended and have this storage.
        before: Unix time; what was written later may belong to a submit that is under way.

    Raises:
        UsageError: there is a run of which it is not known what it uses.
    """
    known = {run.run for run in held.runs if run.record is not None}
    for run in sorted({run.run for run in held.runs} | set(live)):
        if run not in known:
            raise UsageError(
                f"What {run} uses is not known: {held.url} has no record of it that can be read.",
                hint=f"`jobrunner delete --purge --storage {held.url} {run}` removes it, if nobody "
                "needs it.",
            )
    return tuple(each for each in held.shared if not each.runs and each.newest < before)


def remove(storage: Storage, folders: Iterable[SharedFolder]) -> None:
    """Removes shared folders, their manifests first: nobody takes a half for the whole.

    Raises:
        StorageError: storage refused; a second removal continues.
    """
    for folder in folders:
        marks = {e.key for e in folder.entries if e.key.rpartition("/")[2] == MANIFEST}
        for entry in sorted(folder.entries, key=lambda e: (e.key not in marks, e.key)):
            storage.delete(entry.key)
