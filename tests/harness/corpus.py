"""A second corpus of the hub's kind, which keeps the seam honest: one row and this reader.

Its "hub" is a folder of .npy files, one a clip, beside `clips.json`; the place is optional, as for
FLEURS, and every language that it has is a key of that file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from jobrunner.core.data.sources.base import RawClip
from jobrunner.errors import SpecError
from jobrunner.spec import RunSpec, Source
from jobrunner.spec.source import FIELD


@dataclass(frozen=True, slots=True)
class ArrayAudio:
    path: str

    def open(self) -> BinaryIO:
        file = io.BytesIO()
        soundfile.write(file, np.load(self.path), 16000, format="WAV")
        file.seek(0)
        return file

    def identity(self) -> str:
        return f"{Path(self.path).name} {Path(self.path).stat().st_size}"


class Arrays:
    def __init__(self, folder: Path, rows: dict[str, list[list[str]]]) -> None:
        self._folder, self._rows = folder, rows

    @property
    def commit(self) -> str:
        return ""

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._rows)

    def clips(self, split: str) -> Iterator[RawClip]:
        for name, text in self._rows[split]:
            yield RawClip(name, ArrayAudio(str(self._folder / f"{name}.npy")), text, "")


def open_source(source: Source, spec: RunSpec, language: str, scratch: Path) -> Arrays:
    assert source.folder is not None
    rows = json.loads((source.folder / "clips.json").read_text())
    if language not in rows:
        raise SpecError(FIELD, f"{source.folder} has no {language}.")
    return Arrays(source.folder, rows[language])
