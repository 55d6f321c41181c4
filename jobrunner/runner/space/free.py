"""The objects of a run in storage, and their removal."""

from __future__ import annotations

from dataclasses import dataclass

from jobrunner.runner.space.inventory import REST, Folder, take_run
from jobrunner.spec import keys
from jobrunner.storage import Entry, Storage, folders
from jobrunner.storage.folders import MANIFEST


@dataclass(frozen=True, kw_only=True)
class Removal:
    """The objects of a run that `carry_out` removes."""

    run: str
    storage: Storage
    parts: dict[str, Folder]
    """`checkpoints`, `export`, `results`, `logs` and `rest`, as far as they go."""
    exported: bool
    """True if its export is in storage, complete and of the right sizes."""

    @property
    def entries(self) -> list[Entry]:
        """The objects, in the order in which they go."""
        return sorted((entry for part in self.parts.values() for entry in part.entries), key=_order)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts.values())

    def carry_out(self) -> None:
        """Removes the objects.

        Raises:
            StorageError: storage refused; a second removal continues.
        """
        for entry in self.entries:
            self.storage.delete(entry.key)


def everything(storage: Storage, run: str) -> Removal:
    """The removal of all that a run has. Prepared speech and base models are not part of it."""
    return _removal(storage, run, (*keys.PARTS.values(), REST))


def checkpoints(storage: Storage, run: str) -> Removal:
    """The removal of a run's checkpoints; its export, results and logs stay."""
    return _removal(storage, run, (keys.PARTS["checkpoints"],))


def _removal(storage: Storage, run: str, names: tuple[str, ...]) -> Removal:
    stored = take_run(storage, run)
    parts = stored.parts if stored else {}
    return Removal(
        run=run,
        storage=storage,
        parts={name: parts[name] for name in names if name in parts and parts[name].entries},
        exported=folders.is_whole(storage, keys.export_prefix(run)),
    )


def _order(entry: Entry) -> tuple[int, str]:
    """Puts what makes a folder count first, and the run's record last, for a second try."""
    name = entry.key.rpartition("/")[2]
    place = keys.part_of_run(entry.key)
    record = place is not None and entry.key == keys.run_file(place[0])
    counts = name in {keys.COMMIT, MANIFEST} or keys.is_result(entry.key)
    return (2 if record else 0 if counts else 1, entry.key)
