"""Makes shards: clips as FLAC files, one after the other. Runs in worker processes.

The same clips give the same bytes, so a shard that is made again, or twice at the same time, is the
same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobrunner.core.data.audio import Unusable, decode, encode
from jobrunner.core.data.layout import SAMPLE_RATE, VERSION
from jobrunner.core.data.sources.base import RawClip
from jobrunner.spec.identity import canonical_json

# 100 clips of 5 s are 9 MB of FLAC and 0.7 s of one core: enough tasks for all cores of a small
# corpus, few enough objects for a large one, and quickly finished after SIGTERM.
CLIPS_PER_SHARD = 100


@dataclass(frozen=True, slots=True)
class Task:
    """A shard to make."""

    number: int
    clips: tuple[RawClip, ...]
    min_seconds: float
    file: Path
    """File to write the shard to."""


@dataclass(slots=True)
class Shard:
    """A shard that was made."""

    number: int
    file: Path
    clips: int
    """Number of clips that it was made from, including dropped ones."""
    sha256: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Lines of the index, without the name of the shard."""
    dropped: list[tuple[str, str, str]] = field(default_factory=list)
    """(reason, clip, detail)."""


def digest(clips: list[RawClip], min_seconds: float) -> str:
    """Digest of what a shard of these clips is made from: 32 hex digits. Reads no audio."""
    content = [VERSION, min_seconds] + [
        [clip.clip, clip.audio.identity(), clip.text, clip.speaker] for clip in clips
    ]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:32]


def size(rows: list[dict[str, Any]]) -> int:
    """Bytes of a shard with these lines of the index."""
    return int(rows[-1]["offset"] + rows[-1]["size"]) if rows else 0


def make(task: Task) -> Shard:
    """Decodes the clips of a shard and writes it. Memory holds one clip at a time.

    Raises:
        OSError: the shard cannot be written.
    """
    shard = Shard(task.number, task.file, len(task.clips))
    whole = hashlib.sha256()
    offset = 0
    with task.file.open("wb") as target:
        for clip in task.clips:
            try:
                row, data = _clip(clip, task.min_seconds)
            except Unusable as error:
                shard.dropped.append((error.reason, clip.clip, error.detail))
                continue
            shard.rows.append({"offset": offset, "size": len(data), **row})
            target.write(data)
            whole.update(data)
            offset += len(data)
    shard.sha256 = whole.hexdigest()
    return shard


def _clip(clip: RawClip, min_seconds: float) -> tuple[dict[str, Any], bytes]:
    if not clip.text:
        raise Unusable("empty transcript")
    pcm = decode(clip.audio)
    if len(pcm) < min_seconds * SAMPLE_RATE:
        raise Unusable("too short", f"{len(pcm) / SAMPLE_RATE:.2f} s")
    if not pcm.any():
        raise Unusable("silent")
    row = {
        "samples": len(pcm),
        "text": clip.text,
        "speaker": clip.speaker,
        "clip": clip.clip,
        "digest": hashlib.sha256(pcm.tobytes()).hexdigest()[:16],
    }
    return row, encode(pcm)
