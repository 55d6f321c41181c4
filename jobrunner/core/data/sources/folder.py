"""An audio folder as a source."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobrunner.core.data.sources.base import RawClip
from jobrunner.corpora import fingerprint
from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora.folder import Clip
from jobrunner.spec import RunSpec, Source


@dataclass(frozen=True, slots=True)
class FileAudio:
    """An audio file on this machine."""

    path: str

    def open(self) -> str:
        # libsndfile hardly distinguishes a missing file from a damaged one, and waits for a pipe.
        if not stat.S_ISREG(Path(self.path).stat().st_mode):
            raise ValueError("it is not a file")
        return self.path

    def identity(self) -> str:
        try:
            return str(Path(self.path).stat().st_size)
        except OSError:
            return "missing"


def open_source(source: Source, spec: RunSpec, language: str, scratch: Path) -> Folder:
    """Opens an audio folder; see `Reader.open_source`. The run's language must match its pin."""
    assert source.folder is not None
    own = language == spec.lang
    clips = audiofolder.read(source.folder, language, spec.data, own=own)
    if own and source.revision:
        place, _ = audiofolder.locate(source.folder, language)
        fingerprint.pin("data.revision", source.revision, place, fingerprint.of_speech)
    return Folder(clips)


class Folder:
    """The speech of one language in an audio folder.

    Args:
        clips: all its clips, in the order of the tables.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = clips

    @property
    def commit(self) -> str:
        return ""

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(clip.split for clip in self._clips))

    def clips(self, split: str) -> Iterator[RawClip]:
        for clip in self._clips:
            if clip.split == split:
                yield RawClip(clip.name, FileAudio(str(clip.path)), clip.text, clip.speaker)
