"""An audio folder as a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobrunner.core.data.sources.base import RawClip
from jobrunner.corpora import fingerprint
from jobrunner.corpora import folder as audiofolder
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec


@dataclass(frozen=True, slots=True)
class FileAudio:
    """An audio file of its own."""

    path: str

    def open(self) -> str:
        Path(self.path).stat()  # libsndfile tells a missing file from a damaged one badly
        return self.path

    def identity(self) -> str:
        try:
            return str(Path(self.path).stat().st_size)
        except OSError:
            return "missing"


class FolderSource:
    """The speech of one language in an audio folder.

    Args:
        root: the folder, or one with a folder for each language.
        language: code of the language.
        data: columns, and the fingerprint of the run's own language.
        own: True for the run's own language.

    Raises:
        SpecError: the folder cannot be used, or is not what the fingerprint pins.
    """

    usual_train: tuple[str, ...] = ("train",)
    usual_validation = "validation"

    def __init__(self, root: Path, language: str, data: DataSpec, *, own: bool) -> None:
        root = root.expanduser()
        self._clips = audiofolder.read(root, language, data, own=own)
        if own and data.revision:
            _pinned(audiofolder.locate(root, language)[0], data.revision)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(clip.split for clip in self._clips))

    def clips(self, split: str) -> Iterator[RawClip]:
        for clip in self._clips:
            if clip.split == split:
                yield RawClip(clip.name, FileAudio(str(clip.path)), clip.text, clip.speaker)


def _pinned(folder: Path, revision: str) -> None:
    try:
        found = fingerprint.of_speech(folder)
    except OSError as error:
        raise SpecError("data.source", f"{error.filename}: {error.strerror}.") from None
    if found != revision:
        raise SpecError(
            "data.revision",
            f"is {revision}, and {folder} is {found} now.",
            hint="Bring the old files back, or submit again for another run.",
        )
