"""The clips of an audio folder, in the order of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from jobrunner.catalog import languages
from jobrunner.corpora import splits
from jobrunner.corpora.folder import tables
from jobrunner.corpora.folder.columns import choose
from jobrunner.corpora.folder.names import Names, inside
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec


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


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The content of the tables of a language."""

    place: Path
    """The language's folder."""
    clips: list[Clip]
    rows: int
    """Rows of the tables, with those in other languages."""
    names: Names
    """The names of the files on disk."""


def contents(root: Path, language: str, data: DataSpec, *, own: bool = True) -> Contents:
    """All clips of a language, and how many rows its tables have.

    Args:
        root: the audio folder, or a folder with one for each language.
        language: code of the language.
        data: the columns, if given.
        own: True for the run's own language, which is assumed for a table without languages.

    Raises:
        SpecError: says what is wrong with the folder, and what would be right.
    """
    place, paths = locate(root, language, own=own)
    names = Names(place)
    clips: list[Clip] = []
    rows = 0
    for path in paths:
        table = _Table(place, path, names)
        clips += table.clips(language, data, own=own)
        rows += table.rows
    if not clips:
        spoken = languages.find(language).name
        raise SpecError("data.source", f"{place} lists no clip in {spoken} ({language}).")
    return Contents(place=place, clips=clips, rows=rows, names=names)


def read(root: Path, language: str, data: DataSpec, *, own: bool = True) -> list[Clip]:
    """All clips of a language; see `contents`."""
    return contents(root, language, data, own=own).clips


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
    below = _folders(root)
    with_tables = [path for path in below if tables.find(path) or _split_tables(path)]
    for path in with_tables:
        if _means(path.name, language):
            return locate(path, language)
    split_tables = _split_tables(root)
    if split_tables:
        return root, split_tables
    raise _no_table(root, language, [path.name for path in with_tables], empty=not below)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except OSError as error:
        raise SpecError("data.source", f"{error.filename or root}: {error.strerror}.") from None


def _split_tables(root: Path) -> list[Path]:
    """Tables of the sub-folders, if one of these has the name of a split."""
    below = _folders(root)
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


@dataclass(slots=True)
class _Table:
    """A table that is being read."""

    place: Path
    path: Path
    names: Names
    rows: int = 0
    """Rows so far."""

    def clips(self, language: str, data: DataSpec, *, own: bool) -> Iterator[Clip]:
        """The clips of a language."""
        columns = choose(self.path, tables.columns(self.path), data)
        if not own and not columns.language and not _means(self.place.name, language):
            spoken = languages.find(language).name
            raise SpecError(
                "data.source",
                f"{self.path} does not say what is {spoken} ({language}).",
                hint=f"Add a column `locale`, or keep each language in a folder such as "
                f"{language}/.",
            )
        folder = self.path.parent.relative_to(self.place)
        wanted = [name or columns.file for name in astuple(columns)]
        known: dict[str, bool] = {}
        written = {columns.file, columns.text}
        for number, cells in tables.rows(self.path, wanted, written=written):
            self.rows = number
            name, words, who, part, spoken = cells
            if columns.language and not known.setdefault(spoken, _means(spoken, language)):
                continue
            name = self.names.on_disk(inside(folder, name, f"{self.path} row {number}"))
            if "\0" in words:
                where = f"{self.path} row {number}: {columns.text}"
                raise SpecError("data.source", f"{where} has U+0000, which no text has.")
            yield Clip(
                place=self.place,
                name=name,
                text=" ".join(words.split()),
                speaker=who.strip() if columns.speaker else "",
                split=(part.strip() if columns.split else "") or _split_of(folder, name),
            )


def _split_of(folder: Path, name: str) -> str:
    """The split named by the table's folder, else by the first folder of the path, else `train`."""
    if folder.parts:
        return folder.parts[0]
    first = name.partition("/")[0]
    return first if first.casefold() in splits.KNOWN else "train"
