"""The clips of an audio folder, in the order of its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobrunner.catalog import languages
from jobrunner.corpora import splits
from jobrunner.corpora.folder import tables
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec

# Names of columns, most usual first: Hugging Face, Common Voice, LibriSpeech-like tables.
FILE = ("file_name", "path", "audio", "file", "filename", "audio_file", "audio_path")
TEXT = (
    "sentence",
    "text",
    "transcription",
    "transcript",
    "raw_transcription",
    "raw_text",
    "normalized_text",
)
SPEAKER = ("client_id", "speaker_id", "speaker", "spk_id", "user_id")
SPLIT = ("split",)
LANGUAGE = ("locale", "language", "lang")


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of a table."""

    place: Path
    """The language's folder."""
    name: str
    """Path of the audio file relative to that folder, with `/`."""
    text: str
    """The transcript with runs of white space made one space."""
    speaker: str
    """Empty if unknown."""
    split: str
    """The source's name for the split."""

    @property
    def path(self) -> Path:
        """The audio file."""
        return self.place / self.name


def read(root: Path, language: str, data: DataSpec, *, own: bool = True) -> list[Clip]:
    """All clips of a language.

    Args:
        root: the audio folder, or a folder with one for each language.
        language: code of the language.
        data: the columns, if given.
        own: True for the run's own language, which is assumed for a table without languages.

    Raises:
        SpecError: says what is wrong with the folder, and what would be right.
    """
    place, paths = locate(root, language, own=own)
    clips = [clip for path in paths for clip in _table(place, path, language, data, own=own)]
    if not clips:
        spoken = languages.find(language).name
        raise SpecError("data.source", f"{place} lists no clip in {spoken} ({language}).")
    return clips


def locate(root: Path, language: str, *, own: bool = True) -> tuple[Path, list[Path]]:
    """The folder of a language at or below the root, and its tables.

    Raises:
        SpecError: there is no folder, or no table for the language.
    """
    if not root.is_dir():
        hint = "Give the path of one that exists."
        raise SpecError("data.source", f"{root} is not a folder.", hint=hint)
    own_table = tables.find(root)
    if own_table:
        return root, [own_table]
    below = sorted(path for path in root.iterdir() if path.is_dir())
    with_tables = [path for path in below if tables.find(path) or _split_tables(path)]
    for path in with_tables:
        if _means(path.name, language):
            return locate(path, language)
    split_tables = _split_tables(root)
    if split_tables:
        return root, split_tables
    raise _no_table(root, language, [path.name for path in with_tables], empty=not below)


def _split_tables(root: Path) -> list[Path]:
    """Tables of the sub-folders, if one of these has the name of a split."""
    below = sorted(path for path in root.iterdir() if path.is_dir())
    found_tables = [table for table in map(tables.find, below) if table]
    named = any(table.parent.name.casefold() in splits.KNOWN for table in found_tables)
    return found_tables if named else []


def _no_table(root: Path, language: str, others: list[str], *, empty: bool) -> SpecError:
    if others:
        spoken = languages.find(language).name
        return SpecError(
            "data.source",
            f"{root} has no folder for {spoken} ({language}).",
            hint=f"Those that exist: {', '.join(others[:12])}.",
        )
    if empty and not any(root.iterdir()):
        return SpecError("data.source", f"{root} is empty.")
    return SpecError(
        "data.source",
        f"{root} has no metadata.csv (nor .tsv, .jsonl, .parquet).",
        hint="It lists the audio files: a column file_name and one with the transcript.",
    )


def _means(name: str, language: str) -> bool:
    try:
        return languages.find(name).code == language
    except SpecError:
        return False


def _table(place: Path, path: Path, language: str, data: DataSpec, *, own: bool) -> Iterator[Clip]:
    columns = tables.columns(path)
    file = _column("data.audio_column", "audio file", data.audio_column, FILE, columns, path)
    text = _column("data.text_column", "transcript", data.text_column, TEXT, columns, path)
    speaker = _optional("data.speaker_column", data.speaker_column, SPEAKER, columns, path)
    split, locale = _named(SPLIT, columns), _named(LANGUAGE, columns)
    if not own and not locale and not _below_language(place, language):
        spoken = languages.find(language).name
        raise SpecError(
            "data.source",
            f"{path} does not say what is {spoken} ({language}).",
            hint=f"Add a column `locale`, or keep each language in a folder such as {language}/.",
        )
    folder = path.parent.relative_to(place)
    wanted = [name or file for name in (file, text, speaker, split, locale)]
    known: dict[str, bool] = {}
    for number, cells in tables.rows(path, wanted):
        name, words, who, part, spoken = cells
        if locale and not known.setdefault(spoken, _means(spoken, language)):
            continue
        name = _inside(folder, name, f"{path} row {number}")
        yield Clip(
            place=place,
            name=name,
            text=" ".join(words.split()),
            speaker=who.strip() if speaker else "",
            split=(part.strip() if split else "") or _split_of(folder, name),
        )


def _below_language(place: Path, language: str) -> bool:
    """True if the folder's name means the language."""
    return _means(place.name, language)


def _inside(folder: Path, name: str, where: str) -> str:
    """The name relative to the language's folder.

    Raises:
        SpecError: it is empty or leads out of the folder.
    """
    if not name.strip():
        raise SpecError("data.source", f"{where}: the file name is empty.")
    inside = os.path.normpath(f"{folder}/{name}")
    if name.startswith("/") or f"{inside}/".startswith("../") or not name.isprintable():
        shown = repr(name[:60])
        raise SpecError(
            "data.source",
            f"{where}: {shown} is not a file inside the folder.",
            hint="File names are relative to the folder of the table.",
        )
    return inside


def _split_of(folder: Path, name: str) -> str:
    """The split named by the table's folder, else by the first folder of the path, else `train`."""
    if folder.parts:
        return folder.parts[0]
    first = name.partition("/")[0]
    return first if first.casefold() in splits.KNOWN else "train"


def _named(usual: Sequence[str], columns: Sequence[str]) -> str:
    for name in usual:
        for column in columns:
            if column.strip().casefold() == name:
                return column
    return ""


def _optional(
    field: str, given: str, usual: Sequence[str], columns: Sequence[str], path: Path
) -> str:
    if given and given not in columns:
        raise SpecError(
            field, f"{path} has no column {given!r}.", hint=f"It has {_listed(columns)}."
        )
    return given or _named(usual, columns)


def _column(
    field: str, what: str, given: str, usual: Sequence[str], columns: Sequence[str], path: Path
) -> str:
    name = _optional(field, given, usual, columns, path)
    if not name:
        raise SpecError(
            field,
            f"{path} has no column for the {what} (such as {usual[0]}).",
            hint=f"It has {_listed(columns)}; name the one to use.",
        )
    return name


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(column[:40] for column in columns[:12]) or "no columns"
