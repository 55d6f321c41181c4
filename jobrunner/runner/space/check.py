"""Whether the complete folders of a storage are sound, and how to have the others made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from jobrunner.runner.space import inventory
from jobrunner.runner.space.contents import Complete, Damage, complete_folders, damages
from jobrunner.runner.space.inventory import Folder, Inventory
from jobrunner.spec import keys
from jobrunner.storage import Entry, Storage

# Half-written folders older than a day (in seconds) are abandoned; younger ones may be growing.
ABANDONED = 86_400.0


@dataclass(frozen=True, kw_only=True)
class CheckUp:
    """Findings of a check of a storage."""

    url: str
    folders: int
    """Complete folders that were checked."""
    damages: tuple[Damage, ...]
    holds_something: bool
    """False if nothing in it is jobrunner's."""
    leftovers: tuple[Folder, ...]
    """Half-written folders, older than a day, that no run uses."""
    users: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Prefix of a damaged folder → the runs that need it."""

    @property
    def damaged(self) -> tuple[Complete, ...]:
        """The damaged folders."""
        return tuple(dict.fromkeys(damage.folder for damage in self.damages))

    def busy(self, folder: Complete, live: Collection[str]) -> str:
        """A live run that needs a damaged folder; empty if there is none."""
        return next((run for run in self.users[folder.prefix] if run in live), "")


def check(
    storage: Storage,
    *,
    deep: bool = False,
    live: Collection[str] = (),
    on_read: Callable[[int], None] = lambda size: None,
) -> CheckUp:
    """Checks every complete folder of a storage: whether all objects are there, with their sizes.

    Args:
        storage: the storage.
        deep: True to read every object and compare its SHA-256.
        live: runs that may be writing to it.
        on_read: called with the bytes of each piece that was read.

    Raises:
        StorageError: storage refused.
    """
    held = inventory.take(storage)
    entries = _entries(held)
    by_folder = _by_folder(entries)
    folders = complete_folders(entries)
    found: list[Damage] = []
    for folder in folders:
        if damages(storage, folder, by_folder[_top(folder)], deep=deep, on_read=on_read):
            # A live run may have removed or replaced it since the storage was listed.
            now = {entry.key: entry for entry in storage.list(folder.prefix)}
            found += damages(storage, folder, now, deep=deep, on_read=on_read)
    return CheckUp(
        url=storage.url,
        folders=len(folders),
        damages=tuple(found),
        holds_something=bool(entries),
        leftovers=tuple(_leftovers(held, live)),
        users={damage.folder.prefix: _users(held, damage.folder) for damage in found},
    )


def repair(storage: Storage, folder: Complete, found: Collection[Damage]) -> None:
    """Makes a damaged folder count as incomplete, so that the next submit completes it.

    Sound objects of it stay and are used again, except those of a checkpoint.

    Args:
        storage: its storage.
        folder: the folder.
        found: what is wrong with it.

    Raises:
        StorageError: storage refused; a second call continues.
    """
    storage.delete(folder.marker)
    gone = [entry.key for entry in storage.list(folder.prefix)] if folder.whole else []
    for key in gone or [damage.key for damage in found]:
        storage.delete(key)


def remove(storage: Storage, leftover: Folder) -> None:
    """Removes a half-written folder."""
    for entry in leftover.entries:
        storage.delete(entry.key)


def _entries(held: Inventory) -> list[Entry]:
    shared = [entry for folder in held.shared for entry in folder.entries]
    return shared + [entry for run in held.runs for entry in run.whole.entries]


def _top(folder: Complete) -> str:
    """The folder of a data set, a model or a run."""
    return "/".join(folder.prefix.split("/")[:2])


def _by_folder(entries: Collection[Entry]) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        found.setdefault("/".join(entry.key.split("/")[:2]), {})[entry.key] = entry
    return found


def _users(held: Inventory, folder: Complete) -> tuple[str, ...]:
    if place := keys.part_of_run(folder.prefix):
        return (place[0],)
    shared = keys.shared_folder(folder.prefix)
    return next((each.runs for each in held.shared if each.prefix == shared), ())


def _leftovers(held: Inventory, live: Collection[str]) -> list[Folder]:
    """Half-written speech and models, if it is certain that no run uses them."""
    known = {run.run for run in held.runs if run.record is not None}
    if not {run.run for run in held.runs} | set(live) <= known:
        return []
    oldest = time.time() - ABANDONED
    found = []
    for shared in held.shared:
        if shared.runs or shared.newest > oldest:
            continue
        complete = {folder.prefix for folder in complete_folders(shared.entries)}
        # Besides a complete split, only what is in the folders of the others is half-written.
        half = tuple(
            entry
            for entry in shared.entries
            if not complete
            or (entry.key.count("/") > 2 and f"{entry.key.rpartition('/')[0]}/" not in complete)
        )
        if shared.prefix not in complete and half:
            found.append(Folder(prefix=shared.prefix, entries=half))
    return found
