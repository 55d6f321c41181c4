"""All objects of a storage, by what they belong to, and which runs use what is shared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobrunner.catalog import languages
from jobrunner.errors import NotFound, UnreadableRun
from jobrunner.spec import keys, names
from jobrunner.spec.record import RunRecord, read_record
from jobrunner.storage import Entry, Storage

# The part of a run that has no folder of its own: its record, its history, its claims.
REST = "rest"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Objects in storage that belong together."""

    prefix: str
    entries: tuple[Entry, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(entry.size for entry in self.entries)

    @property
    def newest(self) -> float:
        """Unix time of the last write; 0 for an empty folder."""
        return max((entry.modified for entry in self.entries), default=0.0)


@dataclass(frozen=True, kw_only=True)
class SharedFolder(Folder):
    """Prepared speech or a base model."""

    name: str
    """What it is, for people; empty if no run that can be read uses it."""
    runs: tuple[str, ...]
    """Runs in storage that use it."""


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run in storage."""

    run: str
    parts: Mapping[str, Folder]
    """One for each of `checkpoints`, `export`, `results`, `logs` and `rest`."""
    record: RunRecord | None
    """None if it has no record, or one that cannot be read here."""

    @property
    def whole(self) -> Folder:
        """Everything that the run has."""
        entries = tuple(entry for part in self.parts.values() for entry in part.entries)
        return Folder(prefix=keys.run_prefix(self.run), entries=entries)


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The content of a storage. Objects of others in the same folder or bucket are not in it."""

    url: str
    data: tuple[SharedFolder, ...]
    models: tuple[SharedFolder, ...]
    runs: tuple[StoredRun, ...]

    @property
    def shared(self) -> tuple[SharedFolder, ...]:
        """Prepared speech and base models."""
        return self.data + self.models


def take(storage: Storage) -> Inventory:
    """Lists a storage.

    Raises:
        StorageError: storage refused.
    """
    runs = _runs(storage, storage.list(keys.RUNS))
    users: dict[str, dict[str, str]] = {}
    for each in runs:
        for prefix, name in _uses(each.record) if each.record else ():
            users.setdefault(prefix, {})[each.run] = name
    return Inventory(
        url=storage.url,
        data=_shared(storage.list(keys.DATA), users),
        models=_shared(storage.list(keys.MODELS), users),
        runs=runs,
    )


def take_run(storage: Storage, run: str) -> StoredRun | None:
    """The objects of a run in storage; None if it has none."""
    found = _runs(storage, storage.list(keys.run_prefix(names.check_run_id(run))))
    return found[0] if found else None


def _uses(record: RunRecord) -> list[tuple[str, str]]:
    """Prefix and name of each shared folder that a run uses."""
    spec = record.spec
    source = spec.data.source.name
    found = [(keys.model_prefix(spec), names.model_name(spec.model))]
    for code in spec.languages:
        found.append((keys.data_prefix(spec, code), f"{languages.find(code).name}, {source}"))
    return found


def _shared(
    entries: Iterable[Entry], users: Mapping[str, Mapping[str, str]]
) -> tuple[SharedFolder, ...]:
    held: dict[str, list[Entry]] = {}
    for entry in entries:
        if prefix := keys.shared_folder(entry.key):
            held.setdefault(prefix, []).append(entry)
    return tuple(
        SharedFolder(
            prefix=prefix,
            entries=tuple(own),
            name=next(iter(users.get(prefix, {}).values()), ""),
            runs=tuple(users.get(prefix, ())),
        )
        for prefix, own in held.items()
    )


def _runs(storage: Storage, entries: Iterable[Entry]) -> tuple[StoredRun, ...]:
    held: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        if place := keys.part_of_run(entry.key):
            run, part = place
            parts = held.setdefault(run, {name: [] for name in (*keys.PARTS.values(), REST)})
            parts[keys.PARTS.get(part, REST)].append(entry)
    return tuple(
        StoredRun(
            run=run,
            parts={
                name: Folder(prefix=keys.run_prefix(run), entries=tuple(own))
                for name, own in parts.items()
            },
            record=_record(storage, run),
        )
        for run, parts in held.items()
    )


def _record(storage: Storage, run: str) -> RunRecord | None:
    try:
        return read_record(storage.read(keys.run_file(run)))
    except (NotFound, UnreadableRun):
        return None
