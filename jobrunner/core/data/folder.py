"""An audio folder as a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobrunner import audiofolder
from jobrunner.core.data.sources import RawClip
from jobrunner.spec import DataSpec


@dataclass(frozen=True, slots=True)
class FileAudio:
    """An audio file of its own."""

    path: str

    def open(self) -> str:
        return self.path

    def identity(self) -> str:
        try:
            return str(Path(self.path).stat().st_size)
        except OSError:
            return "missing"


class FolderSource:
    """The speech of one language in an audio folder.

    Raises:
        SpecError: the folder cannot be used.
    """

    usual_train: tuple[str, ...] = ("train",)
    usual_validation = "validation"

    def __init__(self, root: Path, language: str, data: DataSpec, *, own: bool) -> None:
        self._clips = audiofolder.read(root.expanduser(), language, data, own=own)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(clip.split for clip in self._clips))

    def clips(self, split: str) -> Iterator[RawClip]:
        for clip in self._clips:
            if clip.split == split:
                yield RawClip(clip.name, FileAudio(str(clip.path)), clip.text, clip.speaker)
