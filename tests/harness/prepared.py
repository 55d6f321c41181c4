"""Prepared speech, as the stage `prepare` leaves it: a shard, its index and its manifest."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import soundfile

from jobrunner.core.data import layout
from jobrunner.storage import Storage


@dataclass(frozen=True)
class Clip:
    """A clip of 16 kHz."""

    name: str
    samples: npt.NDArray[Any]
    text: str
    speaker: str = ""


def write_split(
    storage: Storage, prefix: str, split: str, clips: Iterable[Clip], *, clips_a_shard: int = 0
) -> None:
    """Writes a split; of one shard unless the number of clips in each is given."""
    index_key = f"{split}/index.jsonl"
    shards: dict[str, bytes] = {}
    lines, samples = [], 0
    for number, clip in enumerate(clips):
        shard_key = f"{split}/{number // clips_a_shard if clips_a_shard else 0:05}.flacs"
        file = io.BytesIO()
        soundfile.write(file, clip.samples, layout.SAMPLE_RATE, format="FLAC")
        before = shards.get(shard_key, b"")
        lines.append(
            {
                "shard": shard_key,
                "offset": len(before),
                "size": len(file.getvalue()),
                "samples": len(clip.samples),
                "text": clip.text,
                "speaker": clip.speaker,
                "clip": clip.name,
            }
        )
        shards[shard_key] = before + file.getvalue()
        samples += len(clip.samples)
    for key, shard in shards.items():
        storage.write(prefix + key, shard)
    index = "".join(json.dumps(line) + "\n" for line in lines)
    storage.write(prefix + index_key, index.encode())
    manifest = {
        "version": layout.VERSION,
        "index": index_key,
        "samples": samples,
        "shards": {key: hashlib.sha256(shard).hexdigest() for key, shard in shards.items()},
    }
    storage.write(layout.manifest_key(prefix, split), json.dumps(manifest).encode())
