"""The layout of prepared speech in storage: one folder per split, complete or invisible.

    <prefix><split>/00000-<hash>.flacs    clips as FLAC files, one after the other
    <prefix><split>/00000.json            kept and dropped clips of the shard; makes it count
    <prefix><split>/index-<hash>.jsonl    one line per utterance, in order
    <prefix><split>/manifest.json         names the index and the shards, with size and SHA-256 of
                                          each as `storage/folders.py` has them; written last
    <prefix>report.json                   for people: what was kept and dropped, and why

Names contain a hash of the content, so that two simultaneous `prepare`s cannot mix their files:
each manifest names files that fit together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from jobrunner.errors import NotFound
from jobrunner.storage import Storage, folders

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


def split_prefix(prefix: str, split: str) -> str:
    """Prefix of a split of a data set."""
    return f"{prefix}{split}/"


def manifest_key(prefix: str, split: str) -> str:
    """Key of the manifest of a split."""
    return split_prefix(prefix, split) + folders.MANIFEST


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
    """The manifest of a split; None while the split is not complete.

    Raises:
        Lost: it is damaged.
    """
    key = manifest_key(prefix, split)
    try:
        manifest = json.loads(storage.read(key))
        return manifest if manifest.get("version") == VERSION else None
    except NotFound:
        return None
    except (ValueError, AttributeError):
        raise folders.discard(storage, key, "is damaged") from None


def missing(storage: Storage, prefix: str, split: str) -> list[str]:
    """Keys that a complete split lacks, judged by names and sizes; none if it is not complete."""
    return _look(storage, prefix, split)[0]


def read_whole(storage: Storage, prefix: str, split: str) -> dict[str, Any] | None:
    """The manifest of a split that is complete and lacks nothing; None for any other split."""
    return _look(storage, prefix, split)[1]


def _look(storage: Storage, prefix: str, split: str) -> tuple[list[str], dict[str, Any] | None]:
    """Keys that a split lacks, and its manifest if it lacks none, by one read and one listing."""
    try:
        seen = folders.look(storage, split_prefix(prefix, split))
    except NotFound:
        return [], None
    if lacking := seen.missing:
        return lacking, None
    manifest: dict[str, Any] = json.loads(seen.manifest)
    if manifest.get("version") != VERSION:
        return [], None
    if "files" not in manifest:  # prepared by 0.1.0: its manifest has no sizes
        names = (prefix + name for name in (manifest["index"], *manifest["shards"]))
        lacking = [key for key in names if key not in seen.held]
    return lacking, None if lacking else manifest


def read_index(storage: Storage, prefix: str, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a split's index, in order.

    Raises:
        Lost: it is missing or damaged.
    """
    name = manifest["index"]
    try:
        data = storage.read(prefix + name)
    except NotFound:
        raise folders.not_stored(prefix + name) from None
    facts = manifest.get("files", {}).get(name.rpartition("/")[2])
    if facts and hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise folders.discard(storage, prefix + name, "differs from its manifest")
    try:
        return [json.loads(line) for line in data.splitlines()]
    except ValueError:
        raise folders.discard(storage, prefix + name, "is damaged") from None
