"""Which columns of a table hold what, and what a table without them looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobrunner.corpora.folder import cells
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
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'", ",": "commas"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read; an empty name means that there is none."""

    file: str
    text: str
    speaker: str
    split: str
    language: str


def choose(path: Path, existing: Sequence[str], data: DataSpec) -> Columns:
    """The columns that the spec names, or else the usual ones.

    Raises:
        SpecError: one is missing, or there are two of its name.
    """
    usual = ((data.audio_column, FILE), (data.text_column, TEXT))
    if path.suffix in {".csv", ".tsv"} and not all(
        given in existing if given else _named(names, existing) for given, names in usual
    ):
        _check_shape(path, existing)
    chosen = Columns(
        file=_needed("data.audio_column", "audio file", data.audio_column, FILE, existing, path),
        text=_needed("data.text_column", "transcript", data.text_column, TEXT, existing, path),
        speaker=_optional("data.speaker_column", data.speaker_column, SPEAKER, existing, path),
        split=_named(SPLIT, existing),
        language=_named(LANGUAGE, existing),
    )
    for name in (chosen.file, chosen.text, chosen.speaker, chosen.split, chosen.language):
        if name and list(existing).count(name) > 1:
            hint = "Rename or remove the others."
            raise SpecError("data.source", f"{path} has two columns {name!r}.", hint=hint)
    return chosen


def _check_shape(path: Path, existing: Sequence[str]) -> None:
    """Refuses a text table with another separator, or without a header.

    Raises:
        SpecError: the table looks like one.
    """
    own = cells.separator(path)
    line = own.join(existing)
    for separator, name in _SEPARATORS.items():
        parts = [part.strip(" \"'") for part in line.split(separator)]
        if separator == own or len(parts) < 2:
            continue
        has_names = bool(_named(FILE, parts) and _named(TEXT, parts))
        if has_names or len(existing) == 1 or cells.names_audio(parts[0]):
            problem = f"{path} looks separated by {name}, not {_SEPARATORS[own]}"
            if not has_names and any(map(cells.names_audio, parts)):
                problem += ", and without a header row"
            hint = f"Write it with {_SEPARATORS[own]}"
            if separator == "\t":
                hint = "Name it metadata.tsv"
            raise SpecError("data.source", f"{problem}.", hint=f"{hint}.")
    if any(cells.names_audio(each) or cells.is_file(path.parent, each) for each in existing):
        raise SpecError(
            "data.source",
            f"{path} has no header row: it begins with {line[:60]!r}.",
            hint=f"Begin it with names of columns, such as file_name{own}sentence.",
        )


def _named(usual: Sequence[str], existing: Sequence[str]) -> str:
    for name in usual:
        for column in existing:
            if column.strip().casefold() == name:
                return column
    return ""


def _optional(
    field: str, given: str, usual: Sequence[str], existing: Sequence[str], path: Path
) -> str:
    if given and given not in existing:
        raise SpecError(
            field, f"{path} has no column {given!r}.", hint=f"It has {_listed(existing)}."
        )
    return given or _named(usual, existing)


def _needed(
    field: str, what: str, given: str, usual: Sequence[str], existing: Sequence[str], path: Path
) -> str:
    name = _optional(field, given, usual, existing, path)
    if not name:
        raise SpecError(
            field,
            f"{path} has no column for the {what} (such as {usual[0]}).",
            hint=f"It has {_listed(existing)}; name the one to use.",
        )
    return name


def _listed(existing: Sequence[str]) -> str:
    return ", ".join(column[:40] for column in existing[:12]) or "no columns"
