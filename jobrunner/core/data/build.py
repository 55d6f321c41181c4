"""Builds one split in storage: its shards by worker processes, then its index, then its manifest.

A shard counts once its .json is in storage, and is made again only if it was made from other
clips. So an interrupted preparation can be resumed, with the same bytes as result.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from jobrunner.core.data import layout, shards
from jobrunner.core.data.layout import SAMPLE_RATE, Split
from jobrunner.core.data.pool import spread
from jobrunner.core.data.shards import CLIPS_PER_SHARD, Shard, Task
from jobrunner.core.data.sources.base import RawClip
from jobrunner.core.data.summary import check_train_test_leak
from jobrunner.errors import DataError, NotFound, disk_errors
from jobrunner.spec.identity import canonical_json
from jobrunner.storage import Storage, folders

# Share of a split's clips that may be unreadable.
MOST_UNREADABLE = 0.05
# Most dropped clips to name, for each reason.
EXAMPLES = 5


@dataclass(kw_only=True)
class Builder:
    """Builds the splits of one data set."""

    storage: Storage
    prefix: str
    min_seconds: float
    work: Path
    """A folder on a local disk that no other process uses."""
    workers: int
    stop: Callable[[], bool]
    on_shard: Callable[[int, float], None]
    """Called for each finished shard with its clips and the seconds kept."""

    def build(self, split: Split, clips: list[RawClip], notes: dict[str, Any]) -> bool:
        """Completes a split; False if it was already complete.

        Args:
            split: name of the split.
            clips: its clips, in order.
            notes: more entries for the manifest.

        Raises:
            DataError: too many clips are unreadable, or none is left.
            Interrupted: `stop` returned True; finished shards stay.
            StorageFull: no room left; finished shards stay.
        """
        parts = [clips[at : at + CLIPS_PER_SHARD] for at in range(0, len(clips), CLIPS_PER_SHARD)]
        digests = [shards.digest(part, self.min_seconds) for part in parts]
        whole = hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
        manifest = layout.read_whole(self.storage, self.prefix, split)
        if manifest and manifest["input"] == whole:
            self.on_shard(len(clips), manifest["samples"] / SAMPLE_RATE)
            return False
        unreadable = 0
        for record in self._records(split, parts, digests):
            unreadable += sum(drop[0] == "unreadable" for drop in record["dropped"])
            if unreadable > MOST_UNREADABLE * len(clips):
                raise _too_many(split, unreadable, len(clips), record["dropped"])
            kept = sum(row["samples"] for row in record["rows"]) / SAMPLE_RATE
            self.on_shard(len(record["rows"]) + len(record["dropped"]), kept)
        self._finish(split, len(parts), {"input": whole, "clips": len(clips), **notes})
        return True

    def _records(
        self, split: Split, parts: list[list[RawClip]], digests: list[str]
    ) -> Iterator[dict[str, Any]]:
        """Records of all shards: first those of finished shards, then the others."""
        folder = f"{self.prefix}{split}/"
        stored = {entry.key for entry in self.storage.list(folder)}
        missing = []
        for number, digest in enumerate(digests):
            there = _record_key(folder, number) in stored
            if there and (record := self._finished(split, number, digest)):
                yield record
            else:
                missing.append(number)
        elsewhere: list[dict[str, Any]] = []

        def tasks() -> Iterator[Task]:
            """Shards that no other preparation of this data has finished meanwhile."""
            for number in _from_anywhere(missing):
                if record := self._finished(split, number, digests[number]):
                    elsewhere.append(record)
                    continue
                place = self.work / f"{split}-{number}"
                yield Task(number, tuple(parts[number]), self.min_seconds, place)

        with disk_errors(f"in {self.work.parent}"):
            workers = max(1, min(self.workers, len(missing)))
            for shard in spread(shards.make, tasks(), workers, self.stop):
                yield self._publish(split, shard, digests[shard.number])
        yield from elsewhere

    def _finished(self, split: Split, number: int, digest: str) -> dict[str, Any]:
        """The record of a shard that is in storage, made from these clips; empty if it is not."""
        try:
            record = _read_record(self.storage.read(_record_key(f"{self.prefix}{split}/", number)))
        except NotFound:
            return {}
        if record.get("input") != digest:
            return {}
        shard = self.storage.stat(self.prefix + record["shard"])
        return record if shard and shard.size == shards.size(record["rows"]) else {}

    def _publish(self, split: Split, shard: Shard, digest: str) -> dict[str, Any]:
        name = f"{split}/{shard.number:05d}-{shard.sha256[:12]}.flacs"
        self.storage.write_file(self.prefix + name, shard.file)
        shard.file.unlink()
        record = {
            "input": digest,
            "shard": name,
            "sha256": shard.sha256,
            "rows": shard.rows,
            "dropped": shard.dropped,
        }
        key = _record_key(f"{self.prefix}{split}/", shard.number)
        self.storage.write(key, canonical_json(record).encode())
        return record

    def _finish(self, split: Split, count: int, about: dict[str, Any]) -> None:
        """Joins the shards' records into the index, without duplicates, and writes the manifest."""
        folder = f"{self.prefix}{split}/"
        index = self.work / f"{split}-index"
        tally = _Tally()
        with disk_errors(f"in {self.work.parent}"), index.open("wb") as file:
            for number in range(count):
                record = json.loads(self.storage.read(_record_key(folder, number)))
                tally.add(record, file)
        if not tally.utterances:
            reasons = ", ".join(f"{count} {reason}" for reason, count in tally.counts.items())
            raise DataError(f"No clip of {split} can be used ({reasons or 'it has none'}).")
        check_train_test_leak(self.storage, self.prefix, split, tally.seen)
        name = f"{split}/index-{tally.hash.hexdigest()[:12]}.jsonl"
        self.storage.write_file(self.prefix + name, index)
        files = {**tally.files, name.rpartition("/")[2]: folders.entry(index)}
        index.unlink()
        manifest = {
            **{"version": layout.VERSION, "index": name, **about, **tally.entries()},
            "files": files,
        }
        key = layout.manifest_key(self.prefix, split)
        self.storage.write(key, json.dumps(manifest, indent=1, ensure_ascii=False).encode())


@dataclass
class _Tally:
    """Totals of a split while its shards are joined."""

    utterances: int = 0
    samples: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    shards: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Entries of the shards for the manifest."""
    seen: dict[int, str] = field(default_factory=dict)
    """Hash of the samples → clip."""
    hash: Any = field(default_factory=hashlib.sha256)

    def add(self, record: dict[str, Any], file: BinaryIO) -> None:
        if record["rows"]:
            name, digest = record["shard"], record["sha256"]
            self.shards[name] = digest
            size = shards.size(record["rows"])
            self.files[name.rpartition("/")[2]] = {"size": size, "sha256": digest}
        for reason, clip, detail in record["dropped"]:
            self._drop(reason, clip, detail)
        for row in record["rows"]:
            sound = int(row["digest"], 16)
            if sound in self.seen:
                self._drop("duplicate", row["clip"], f"the same as {self.seen[sound]}")
                continue
            self.seen[sound] = row["clip"]
            self.utterances += 1
            self.samples += row["samples"]
            line = canonical_json({"shard": record["shard"], **row}).encode() + b"\n"
            self.hash.update(line)
            file.write(line)

    def _drop(self, reason: str, clip: str, detail: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        named = self.examples.setdefault(reason, [])
        if len(named) < EXAMPLES:
            named.append(f"{clip}: {detail}" if detail else clip)

    def entries(self) -> dict[str, Any]:
        """Entries for the manifest."""
        dropped = {
            reason: {"count": count, "examples": self.examples[reason]}
            for reason, count in sorted(self.counts.items())
        }
        return {
            "utterances": self.utterances,
            "samples": self.samples,
            "dropped": dropped,
            "shards": self.shards,
        }


def _from_anywhere(numbers: Sequence[int]) -> list[int]:
    """The numbers in their order, from one of them that is drawn.

    Several runs may prepare the same data at once, as those of a sweep on a cluster do. If they
    begin in different places, each finds part of the shards finished by the others.
    """
    start = random.randrange(len(numbers)) if numbers else 0
    return [*numbers[start:], *numbers[:start]]


def _record_key(folder: str, number: int) -> str:
    return f"{folder}{number:05d}.json"


def _read_record(data: bytes) -> dict[str, Any]:
    """The record of a shard; empty if it is damaged, so that the shard is made again."""
    try:
        record = json.loads(data)
        return record if {"shard", "rows", "dropped", "sha256"} <= record.keys() else {}
    except (ValueError, AttributeError):
        return {}


def _too_many(split: str, unreadable: int, clips: int, dropped: list[list[str]]) -> DataError:
    _, clip, detail = next(drop for drop in dropped if drop[0] == "unreadable")
    return DataError(
        f"More than {MOST_UNREADABLE:.0%} of the {clips} clips of {split} are unreadable "
        f"({unreadable} so far), such as {clip} ({detail}).",
        hint="Formats: WAV, FLAC, MP3, Ogg Vorbis, Opus.",
    )
