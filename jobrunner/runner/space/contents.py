"""Requirements of a complete folder in storage: base models, exports, splits, checkpoints."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from jobrunner.errors import NotFound
from jobrunner.spec import keys
from jobrunner.storage import Entry, Storage, verify
from jobrunner.storage.folders import MANIFEST
from jobrunner.storage.verify import Expected

_SHARD_RECORD = re.compile(r"\d+\.json")


@dataclass(frozen=True, kw_only=True)
class Complete:
    """A folder that counts as complete, because its marker is in storage."""

    prefix: str
    marker: str
    """Key of its manifest, or of a checkpoint's COMMIT."""
    whole: bool = False
    """True if nothing of it is of use without the rest, as of a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """An object of a complete folder that is not as its manifest says."""

    folder: Complete
    key: str
    problem: str
    """What is wrong, after the key: `is missing`."""

    @property
    def line(self) -> str:
        """One line for people."""
        return f"{self.key} {self.problem}"


class _UnreadableError(Exception):
    """A manifest cannot be read; the arguments are its key and the problem."""


def complete_folders(entries: Iterable[Entry]) -> list[Complete]:
    """All folders that count as complete, of base models, speech, exports and checkpoints.

    Args:
        entries: objects of a storage.
    """
    found = []
    for entry in entries:
        folder, _, name = entry.key.rpartition("/")
        prefix = f"{folder}/"
        run = keys.part_of_run(entry.key)
        if name == keys.COMMIT and run and keys.checkpoint_step(run[0], entry.key) is not None:
            found.append(Complete(prefix=prefix, marker=entry.key, whole=True))
        elif name == MANIFEST and (
            prefix == keys.export_prefix(run[0]) if run else _is_published(prefix)
        ):
            found.append(Complete(prefix=prefix, marker=entry.key))
    return found


def _is_published(prefix: str) -> bool:
    """True for the prefix of a base model or of a split, false for a folder within one."""
    shared = keys.shared_folder(prefix)
    depth = 1 if shared.startswith(keys.DATA) else 0
    return bool(shared) and prefix.removeprefix(shared).count("/") == depth


def damages(
    storage: Storage,
    folder: Complete,
    held: Mapping[str, Entry],
    *,
    deep: bool = False,
    on_read: Callable[[int], None] = lambda size: None,
) -> list[Damage]:
    """Problems of a folder; none for one whose marker is gone.

    Args:
        storage: its storage.
        folder: the folder.
        held: its objects in storage, by key.
        deep: True to read every object and compare its SHA-256.
        on_read: called with the bytes of each piece that was read.

    Raises:
        StorageError: storage refused.
    """
    if folder.marker not in held:
        return []
    try:
        expected = list(_expected(storage, folder, held))
    except NotFound:
        return []  # removed meanwhile
    except _UnreadableError as error:
        key, problem = error.args
        return [Damage(folder=folder, key=key, problem=problem)]
    found = []
    for each in expected:
        wrong = verify.problem(storage, each, held.get(each.key), deep=deep, on_read=on_read)
        if wrong:
            found.append(Damage(folder=folder, key=each.key, problem=wrong))
    return found


def _expected(storage: Storage, folder: Complete, held: Mapping[str, Entry]) -> Iterator[Expected]:
    content = storage.read(folder.marker)
    if folder.whole:
        yield from _of_checkpoint(storage, folder, content, held)
        return
    manifest = _parsed(folder.marker, content)
    if "files" in manifest or not folder.prefix.startswith(keys.DATA):
        yield from _named(folder.prefix, folder.marker, content)
        return
    with _readable(folder.marker):
        yield from _of_split(storage, folder, manifest, held)


def _named(prefix: str, key: str, manifest: bytes) -> list[Expected]:
    found = verify.named(prefix, manifest)
    if found is None:
        raise _UnreadableError(key, "cannot be read")
    return found


@contextmanager
def _readable(key: str) -> Iterator[None]:
    """Turns the errors of an unexpected form into one about the object at `key`."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise _UnreadableError(key, "cannot be read") from None


def _parsed(key: str, content: bytes) -> dict[str, Any]:
    with _readable(key):
        found = json.loads(content)
        if isinstance(found, dict):
            return found
    raise _UnreadableError(key, "cannot be read")


def _of_checkpoint(
    storage: Storage, folder: Complete, marker: bytes, held: Mapping[str, Entry]
) -> Iterator[Expected]:
    commit = _parsed(folder.marker, marker)
    with _readable(folder.marker):
        attempt, digest = str(commit["attempt"]), str(commit["manifest"])
    prefix = f"{folder.prefix}{attempt}/"
    key = prefix + MANIFEST
    if key not in held:
        yield Expected(key=key)
        return
    content = storage.read(key)
    if hashlib.sha256(content).hexdigest() != digest:
        raise _UnreadableError(key, "differs from what was committed")
    yield from _named(prefix, key, content)


def _of_split(
    storage: Storage, folder: Complete, manifest: dict[str, Any], held: Mapping[str, Entry]
) -> Iterator[Expected]:
    """Index and shards of a split that 0.1.0 prepared: its manifest has no sizes."""
    prefix = keys.shared_folder(folder.prefix)
    index = PurePosixPath(str(manifest["index"]))
    _, named, start = index.stem.rpartition("-")
    yield Expected(key=f"{prefix}{index}", sha256=start if named else "")
    sizes = _sizes_of_shards(storage, folder, held)
    for name, digest in dict(manifest["shards"]).items():
        yield Expected(key=prefix + name, size=sizes.get(name), sha256=str(digest))


def _sizes_of_shards(
    storage: Storage, folder: Complete, held: Mapping[str, Entry]
) -> dict[str, int]:
    """Bytes of each shard that has a record beside it: the manifest does not tell them."""
    sizes = {}
    for key in held:
        if not _SHARD_RECORD.fullmatch(key.removeprefix(folder.prefix)):
            continue
        try:
            record = json.loads(storage.read(key))
            sizes[record["shard"]] = max(row["offset"] + row["size"] for row in record["rows"])
        except (NotFound, KeyError, TypeError, ValueError):
            continue  # a shard without a sound record is known by its digest only
    return sizes
