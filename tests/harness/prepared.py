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


def write_split(storage: Storage, prefix: str, split: str, clips: Iterable[Clip]) -> None:
    """Writes a split of one shard."""
    shard_key, index_key = f"{split}/00000.flacs", f"{split}/index.jsonl"
    shard, lines, samples = b"", [], 0
    for clip in clips:
        file = io.BytesIO()
        soundfile.write(file, clip.samples, layout.SAMPLE_RATE, format="FLAC")
        lines.append(
            {
                "shard": shard_key,
                "offset": len(shard),
                "size": len(file.getvalue()),
                "samples": len(clip.samples),
                "text": clip.text,
                "speaker": clip.speaker,
                "clip": clip.name,
            }
        )
        shard += file.getvalue()
        samples += len(clip.samples)
    storage.write(prefix + shard_key, shard)
    index = "".join(json.dumps(line) + "\n" for line in lines)
    storage.write(prefix + index_key, index.encode())
    manifest = {
        "version": layout.VERSION,
        "index": index_key,
        "samples": samples,
        "shards": {shard_key: hashlib.sha256(shard).hexdigest()},
    }
    storage.write(layout.manifest_key(prefix, split), json.dumps(manifest).encode())
