"""The tables of an audio folder: metadata.csv, .tsv, .jsonl or .parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobrunner.errors import SpecError, UsageError

NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
# The longest transcript that a cell may hold, in characters; Python's own limit is 128 Ki.
_LONGEST_CELL = 1 << 24


def find(folder: Path) -> Path | None:
    """The table of a folder, or None.

    Raises:
        SpecError: there are two.
    """
    existing = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(existing) > 1:
        names = " and ".join(path.name for path in existing)
        raise SpecError("data.source", f"{folder} has {names}.", hint="Keep one of them.")
    return existing[0] if existing else None


def columns(path: Path) -> list[str]:
    """Names of the columns, in order.

    Raises:
        SpecError: the table cannot be read.
    """
    with _readable(path):
        if path.suffix == ".parquet":
            return list(_parquet(path).schema_arrow.names)
        if path.suffix == ".jsonl":
            names: dict[str, None] = {}
            for row in _objects(path):
                names.update(dict.fromkeys(row))
            return list(names)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(_cells(file, path), [])


def rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Row number, from 1, and the cells of the wanted columns; a missing cell is empty.

    Raises:
        SpecError: the table cannot be read.
    """
    with _readable(path):
        yield from enumerate(_rows(path, wanted), start=1)


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[list[str]]:
    if path.suffix == ".parquet":
        for batch in _parquet(path).iter_batches(columns=list(dict.fromkeys(wanted))):
            taken = [batch.column(name).to_pylist() for name in wanted]
            for row in zip(*taken, strict=True):
                yield [_plain(cell) for cell in row]
    elif path.suffix == ".jsonl":
        for record in _objects(path):
            yield [_plain(record.get(name)) for name in wanted]
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _cells(file, path)
            header = next(lines, [])
            places = [header.index(name) for name in wanted]
            for cells in lines:
                if cells:
                    yield [cells[at] if at < len(cells) else "" for at in places]


def _plain(cell: object) -> str:
    return "" if cell is None else str(cell)


def _cells(file: Iterator[str], path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_CELL)
    if path.suffix == ".csv":
        yield from csv.reader(file)
    else:
        for line in file:
            yield [_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")]


def _unquoted(cell: str) -> str:
    """A cell of a .tsv: quotes are text (Common Voice) unless they wrap it as in a .csv."""
    inner = cell[1:-1]
    wrapped = len(cell) > 1 and cell[0] == cell[-1] == '"'
    if wrapped and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _objects(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise SpecError("data.source", f"{path} line {number} is not a JSON object.")
            yield record


def _parquet(path: Path):  # type: ignore[no-untyped-def]
    try:
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            f"{path} needs pyarrow to be read.",
            hint="pip install 'jobrunner[core]', or write metadata.csv.",
        ) from None
    return parquet.ParquetFile(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns errors of readers into one line. `pyarrow.ArrowInvalid` is a ValueError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise SpecError(
            "data.source", f"{path} is not UTF-8 (byte {error.start}).", hint="Save it as UTF-8."
        ) from None
    except (csv.Error, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SpecError("data.source", f"{path} cannot be read: {reason}.") from None
    except OSError as error:
        raise SpecError("data.source", f"{path}: {error.strerror or error}.") from None
