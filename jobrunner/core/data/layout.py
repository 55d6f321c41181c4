"""The layout of prepared speech in storage: one folder per split, complete or invisible.

    <prefix><split>/00000-<hash>.flacs    clips as FLAC files, one after the other
    <prefix><split>/00000.json            kept and dropped clips of the shard; makes it count
    <prefix><split>/index-<hash>.jsonl    one line per utterance, in order
    <prefix><split>/manifest.json         names the index and the shards; written last
    <prefix>report.json                   for people: what was kept and dropped, and why

Names contain a hash of the content, so that two simultaneous `prepare`s cannot mix their files:
each manifest names files that fit together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from jobrunner.errors import NotFound, StorageError
from jobrunner.storage import Storage

SAMPLE_RATE = 16000
# A change of what preparation does to a clip must raise this number; old shards then do not count.
VERSION = 1

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip of prepared speech."""

    index: int
    """Position in its split, from 0."""
    shard: str
    """Key of the shard, relative to the data set's prefix."""
    offset: int
    """Start of its FLAC file in the shard, in bytes."""
    size: int
    """Bytes of its FLAC file."""
    seconds: float
    text: str
    speaker: str
    """Empty if the source names none: then no other clip counts as the same speaker's."""
    clip: str
    """File name or id in the source."""
    language: str
    """Code of the language that is spoken."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate`: the text is English, whatever the language is."""
    prompt: str = ""
    """Text before it, which the model reads but does not learn to write."""


def manifest_key(prefix: str, split: str) -> str:
    """Key of the manifest of a split."""
    return f"{prefix}{split}/manifest.json"


def report_key(prefix: str) -> str:
    """Key of the report of a data set."""
    return f"{prefix}report.json"


def read_report(storage: Storage, prefix: str) -> dict[str, Any]:
    """The report of a data set; empty if there is none yet."""
    try:
        report: dict[str, Any] = json.loads(storage.read(report_key(prefix)))
    except (NotFound, ValueError):
        return {}
    return report


def read_manifest(storage: Storage, prefix: str, split: str) -> dict[str, Any] | None:
    """The manifest of a split; None while the split is not complete."""
    try:
        manifest = json.loads(storage.read(manifest_key(prefix, split)))
    except NotFound:
        return None
    except ValueError:
        key = manifest_key(prefix, split)
        raise StorageError(f"{key} is damaged.", hint="Delete it and prepare again.") from None
    return manifest if manifest.get("version") == VERSION else None


def read_index(storage: Storage, prefix: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a split's index, in order."""
    with storage.open(prefix + manifest["index"]) as file:
        return [json.loads(line) for line in file]
