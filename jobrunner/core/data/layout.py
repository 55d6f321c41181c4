"""How prepared speech lies in storage: one folder a split, complete or invisible.

    <prefix><split>/00000-<hash>.flacs    clips as FLAC files, one after the other
    <prefix><split>/00000.json            what the shard holds and what was dropped; makes it count
    <prefix><split>/index-<hash>.jsonl    one line an utterance, in order
    <prefix><split>/manifest.json         names the index and the shards; written last
    <prefix>report.json                   for people: what was kept, dropped and why

Names carry a hash of the content, so that two prepares at once cannot mix their files: each
manifest names files that fit together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from jobrunner.errors import NotFound, StorageError
from jobrunner.storage import Storage

SAMPLE_RATE = 16000
# A change of what preparation does to a clip raises this number, and old shards count no more.
VERSION = 1

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip of prepared speech."""

    index: int
    """Place in its split, from 0."""
    shard: str
    """Key of the shard, relative to the data set's prefix."""
    offset: int
    """Where its FLAC file begins in the shard, in bytes."""
    size: int
    """Bytes of its FLAC file."""
    seconds: float
    text: str
    speaker: str
    """Empty when the source names none: then nothing is known to be of the same speaker."""
    clip: str
    """File name or id in the source."""
    language: str
    """Code of the language that is spoken."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate`: the text is English, whatever is spoken."""
    prompt: str = ""
    """Text that comes before it, which the model reads and does not learn to write."""


def manifest_key(prefix: str, split: str) -> str:
    """Where the manifest of a split lies."""
    return f"{prefix}{split}/manifest.json"


def report_key(prefix: str) -> str:
    """Where the report of a data set lies."""
    return f"{prefix}report.json"


def read_report(storage: Storage, prefix: str) -> dict[str, Any]:
    """The report of a data set; empty where there is none yet."""
    try:
        found: dict[str, Any] = json.loads(storage.read(report_key(prefix)))
    except (NotFound, ValueError):
        return {}
    return found


def read_manifest(storage: Storage, prefix: str, split: str) -> dict[str, Any] | None:
    """The manifest of a split; None while the split is not complete."""
    try:
        found = json.loads(storage.read(manifest_key(prefix, split)))
    except NotFound:
        return None
    except ValueError:
        key = manifest_key(prefix, split)
        raise StorageError(f"{key} is damaged.", hint="Delete it and prepare again.") from None
    return found if found.get("version") == VERSION else None


def read_index(storage: Storage, prefix: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a split's index, in order."""
    with storage.open(prefix + manifest["index"]) as file:
        return [json.loads(line) for line in file]
