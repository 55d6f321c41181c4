"""Short sounds, audio folders of them, and stages that prepare them."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import Storage
from jobrunner.storage.local import LocalStorage
from tests import builders


def sound(seed: int, seconds: float = 0.4, rate: int = 16000) -> npt.NDArray[np.float32]:
    """Two tones and a little noise, other ones for each seed: float32 [samples]."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    low, high = random.uniform(100, 400), random.uniform(400, 2000)
    wave = 0.3 * np.sin(2 * np.pi * low * time) + 0.2 * np.sin(2 * np.pi * high * time)
    return (wave + 0.01 * random.standard_normal(len(time))).astype(np.float32)


def pcm(seed: int) -> npt.NDArray[np.int16]:
    """The samples as whole numbers, which every lossless format stores alike."""
    return (sound(seed) * 32767).astype(np.int16)


def encoded(samples: npt.NDArray[Any], rate: int = 16000, form: str = "WAV", **more: Any) -> bytes:
    """An audio file's bytes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, **more)
    return file.getvalue()


@dataclass(frozen=True)
class Row:
    """A clip of a folder; its sound follows from its name unless given."""

    name: str
    text: str
    split: str = "train"
    speaker: str = "anna"
    data: bytes | None = None


def rows(train: int = 12, test: int = 3, validation: int = 2) -> list[Row]:
    """Clips with sentences and speakers that no two splits share."""
    counts = {"train": train, "validation": validation, "test": test}
    return [
        Row(f"{split}/{at:03d}.wav", f"{split} sentence {at}", split, f"{split}-{at % 2}")
        for split, count in counts.items()
        for at in range(count)
    ]


def write_speech(root: Path, clips: Iterable[Row]) -> Path:
    """An audio folder with these clips."""
    table = [("file_name", "sentence", "client_id", "split")]
    for clip in clips:
        path = root / clip.name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = zlib.crc32(clip.name.encode())
        path.write_bytes(encoded(sound(seed)) if clip.data is None else clip.data)
        table.append((clip.name, clip.text, clip.speaker, clip.split))
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)
    return root


def write_model(folder: Path) -> Path:
    """A folder in the form of a model. Prepare copies it and looks no further."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "whisper"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def make_spec(root: Path, source: str = "", **changes: Any) -> RunSpec:
    """A spec for the folder `speech` below `root`, stored in `storage` beside it.

    Args:
        root: holds everything.
        source: another source.
        changes: fields of the spec's data part.
    """
    return builders.spec(
        model=str(write_model(root / "model")),
        storage=str(root / "storage"),
        data={"source": source or f"folder:{root / 'speech'}", **changes},
    )


def make_context(spec: RunSpec, *, storage: Storage | None = None) -> builders.LoggedContext:
    """An attempt at preparing, with scratch and progress beside the storage."""
    root = Path(spec.storage).parent
    progress = ProgressReporter(root / "progress.json")
    return builders.stage_context(spec, root / "scratch", storage=storage, progress=progress)


def report(spec: RunSpec, language: str = "el") -> dict[str, Any]:
    """The report that prepare wrote."""
    key = keys.data_prefix(spec, language) + "report.json"
    found: dict[str, Any] = json.loads(LocalStorage(Path(spec.storage)).read(key))
    return found


def content(root: Path) -> dict[str, bytes]:
    """Everything in a folder storage that is not half-written."""
    found = {}
    for entry in LocalStorage(root).list(""):
        found[entry.key] = LocalStorage(root).read(entry.key)
    return found
