"""Rows of text tables (.csv, .tsv), read strictly: nothing is swallowed, shifted or cut."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from jobrunner.errors import SpecError

# The longest transcript that a cell may hold, in characters; Python's own limit is 128 Ki.
_LONGEST_CELL = 1 << 24
_COMMAS, _TABS = ",", "\t"
_AUDIO = re.compile(
    r"\.(?:wav|wave|mp3|flac|ogg|oga|opus|aif|aiff|m4a|mp4|webm|aac|wma|amr)$", re.I
)
_QUOTES = 'A text with a quote is written "like ""this""".'


def separator(path: Path) -> str:
    """The separator of a text table, by its suffix."""
    return _COMMAS if path.suffix == ".csv" else _TABS


def names_audio(cell: str) -> bool:
    """True if a cell looks like the name of an audio file."""
    return bool(_AUDIO.search(cell.strip(" \"'")))


def is_file(folder: Path, name: str) -> bool:
    """True if a folder has a file of this name; any text will do for one."""
    try:
        return bool(name.strip()) and (folder / name).is_file()
    except (OSError, ValueError):
        return False


def header(path: Path) -> list[str]:
    """Names of the columns; no names for an empty file.

    Raises:
        SpecError, UnicodeDecodeError, OSError: the table cannot be read.
    """
    return next(_lines(path), (0, []))[1]


def rows(path: Path) -> Iterator[list[str]]:
    """The cells of each row below the header, as many as there are columns.

    Raises:
        SpecError, UnicodeDecodeError, OSError: the table cannot be read.
    """
    lines = _lines(path)
    width = len(_trimmed(next(lines, (0, []))[1], 0))
    for number, cells in lines:
        cells = _trimmed(cells, width)
        if len(cells) != width:
            raise _uneven(path, number, len(cells), width)
        yield cells


def _uneven(path: Path, row: int, cells: int, width: int) -> SpecError:
    hint = "An empty cell is written too, and a row is one line."
    if path.suffix == ".csv":
        hint = "An empty cell is written too."
    if cells > width:
        between = "One tab separates two cells; a text has none."
        hint = "A text with a comma stands between quotes." if path.suffix == ".csv" else between
    problem = f"{path} row {row} has {_count(cells, 'cell')} below {_count(width, 'column')}."
    return SpecError("data.source", problem, hint=hint)


def _trimmed(cells: list[str], width: int) -> list[str]:
    """The cells without empty ones at the end, beyond the width."""
    end = len(cells)
    while end > width and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Row number, 0 for the header, and cells of every row that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = _csv(file, path) if path.suffix == ".csv" else _tsv(file)
        yield from enumerate(cells for cells in found if any(map(str.strip, cells)))


def _tsv(file: Iterator[str]) -> Iterator[list[str]]:
    for line in file:
        yield [_unquoted(cell) for cell in line.rstrip("\r\n").split(_TABS)]


def _unquoted(cell: str) -> str:
    """A cell of a .tsv: quotes are text (Common Voice) unless they wrap it as in a .csv."""
    inner = cell[1:-1]
    wrapped = len(cell) > 1 and cell[0] == cell[-1] == '"'
    if wrapped and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _csv(file: Iterator[str], path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(file, strict=True)
    number = 0
    while True:
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unbalanced(path, number, before + 1, reader.line_num, str(error)) from None
        if reader.line_num > before + 1 and (name := _swallowed(path, cells)):
            raise SpecError(
                "data.source",
                f"{path} row {number}: a quote that opens on line {before + 1} swallows the row "
                f"of {name}.",
                hint=_QUOTES,
            )
        number += any(map(str.strip, cells))
        yield cells


def _unbalanced(path: Path, row: int, first: int, last: int, reason: str) -> SpecError:
    where = f"{path} row {row}" if row else f"{path} header"
    if "unexpected end" in reason:
        problem = f"{where}: a quote opens on line {first} and never closes, up to line {last}."
    elif "expected after" in reason:
        place = f"on line {first}" + (f" and closes on line {last}" if last > first else "")
        problem = f"{where}: a quote opens {place}, with text behind the closing one."
    else:
        problem = f"{where}: line {last} cannot be read: {reason}."
    return SpecError("data.source", problem, hint=_QUOTES)


def _swallowed(path: Path, cells: list[str]) -> str:
    """The audio file that a line inside a cell names, as rows do; empty if there is none."""
    for cell in cells:
        for line in cell.splitlines()[1:]:
            for part in map(str.strip, line.split(_COMMAS)) if _COMMAS in line else ():
                if names_audio(part) or is_file(path.parent, part):
                    return part[:60]
    return ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
