"""FLEURS (Conneau et al. 2022, arXiv 2205.12446): read speech in 102 languages.

Read from the hub's parquet conversion of google/fleurs, or from a folder in the same layout:

    <config>/<split>/*.parquet      such as el_gr/train/0000.parquet

Columns: audio (a struct of `bytes` and `path`), raw_transcription (with case and
punctuation), transcription (without), id (of the sentence, not the clip), and others. FLEURS
names no speakers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from pyarrow import ArrowException, parquet

from jobrunner.catalog import languages
from jobrunner.catalog.languages import Language
from jobrunner.core.data.sources.base import RawClip
from jobrunner.core.hub import fetch_dataset, list_dataset
from jobrunner.errors import DataError, SpecError
from jobrunner.spec import DataSpec, RunSpec, Source
from jobrunner.spec.source import FIELD

REVISION = "refs/convert/parquet"
# `partial-` marks large splits: the hub converted only their first 5 GB.
_FILE = re.compile(r"(?P<config>[^/]+)/(?:partial-)?(?P<split>[^/]+)/[^/]+\.parquet")


@dataclass(frozen=True, slots=True)
class CellAudio:
    """A cell of a parquet file that holds an audio file's bytes."""

    file: str
    column: str
    group: int
    row: int
    """Row within the group."""

    def open(self) -> BinaryIO:
        cell = _group(self.file, self.column, self.group)[self.row].as_py()
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not data:
            raise ValueError("the cell is empty")
        return io.BytesIO(data)

    def identity(self) -> str:
        return f"{Path(self.file).name} {_size(self.file)} {self.group} {self.row}"


@lru_cache(maxsize=1)
def _group(file: str, column: str, group: int) -> Any:
    """The audio of one row group, about 100 clips: clips of a shard come from one or two groups."""
    return parquet.ParquetFile(file).read_row_group(group, columns=[column]).column(0)


@lru_cache(maxsize=64)
def _size(file: str) -> int:
    return Path(file).stat().st_size


def open_source(source: Source, spec: RunSpec, language: str, scratch: Path) -> Fleurs:
    """Opens FLEURS in one language; see `Reader.open_source`."""
    if why := source.missing(language):
        raise SpecError(FIELD, why)
    return Fleurs(source, spec.data, languages.find(language), scratch)


class Fleurs:
    """FLEURS in one language.

    Args:
        source: the source; its place is a folder in the layout above, or empty for the hub.
        data: `text_column`, `audio_column` and `speaker_column` are read.
        language: a language that FLEURS has.
        scratch: folder for downloads if the user's cache of the hub cannot be written.

    Raises:
        SpecError: the mirror lacks the language.
        JobrunnerError: the hub cannot be reached.
    """

    def __init__(self, source: Source, data: DataSpec, language: Language, scratch: Path) -> None:
        self._data = data
        self._facts = source.facts
        self._scratch = scratch
        self.commit = ""
        self._instead = (
            f"Copy {language.fleurs}/<split>/*.parquet of its parquet conversion to a folder, "
            "then use --data fleurs:FOLDER."
        )
        self._mirror = source.folder
        if self._mirror:
            names = _mirrored(self._mirror, str(language.fleurs))
        else:
            revision = source.revision or REVISION
            listing = list_dataset(self._facts.repo, revision, instead=self._instead)
            self.commit = listing.commit
            names = [name for name in listing.names if name.startswith(f"{language.fleurs}/")]
        self._names: dict[str, list[str]] = {}
        for name in sorted(names):
            matched = _FILE.fullmatch(name)
            if matched:
                self._names.setdefault(matched["split"], []).append(name)
        if not self._names:
            place = self._mirror or f"{self._facts.repo} at {source.revision or REVISION}"
            raise SpecError(
                FIELD,
                f"{place} has no {language.fleurs}/<split>/*.parquet.",
                hint="The layout is that of the hub's parquet conversion of google/fleurs.",
            )

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._names)

    def clips(self, split: str) -> Iterator[RawClip]:
        for path in self._files(self._names[split]):
            try:
                yield from self._read(path)
            except (ArrowException, OSError) as error:
                reason = str(error).splitlines()[0].rstrip(".")
                raise DataError(
                    f"{path} cannot be read: {reason}.", hint="Delete it and copy it again."
                ) from None

    def _files(self, names: list[str]) -> list[Path]:
        if self._mirror:
            return [self._mirror / name for name in names]
        return fetch_dataset(
            self._facts.repo, self.commit, names, scratch=self._scratch, instead=self._instead
        )

    def _read(self, path: Path) -> Iterator[RawClip]:
        with parquet.ParquetFile(path) as file:
            existing = file.schema_arrow.names
            text = self._column("text_column", self._facts.text_column, existing, path)
            audio = self._column("audio_column", "audio", existing, path)
            speaker = self._data.speaker_column
            if speaker:
                self._column("speaker_column", "", existing, path)
            naming = [name for name in ("path", "id") if name in existing]
            columns = list(dict.fromkeys([text, *naming, *([speaker] if speaker else [])]))
            at = 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                for row, cells in enumerate(table.to_pylist()):
                    yield RawClip(
                        clip=_name(cells, path, at),
                        audio=CellAudio(str(path), audio, group, row),
                        text=" ".join(str(cells[text] or "").split()),
                        speaker=str(cells[speaker] or "") if speaker else "",
                    )
                    at += 1

    def _column(self, field: str, usual: str, existing: list[str], path: Path) -> str:
        name: str = getattr(self._data, field) or usual
        if name not in existing:
            raise SpecError(
                f"data.{field}",
                f"{path} has no column {name!r}.",
                hint=f"It has {_listed(existing)}.",
            )
        return name


def _mirrored(root: Path, config: str) -> list[str]:
    if not root.is_dir():
        raise SpecError(FIELD, f"{root} is not a folder.")
    return [path.relative_to(root).as_posix() for path in root.glob(f"{config}/*/*.parquet")]


def _name(cells: dict[str, Any], path: Path, at: int) -> str:
    """The clip's file name; file and row of the table if that names none."""
    name = str(cells.get("path") or "").rpartition("/")[2]
    return name or f"{path.parent.name}/{path.stem}:{at}"


def _listed(columns: list[str]) -> str:
    return ", ".join(column[:40] for column in columns[:12])
