"""The tables of an audio folder: metadata.csv, .tsv, .jsonl or .parquet."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobrunner.corpora import heads
from jobrunner.corpora.folder import cells as texts
from jobrunner.errors import SpecError, UsageError

NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
# Names of JSON's types for people.
_KINDS = {bool: "a truth value", dict: "an object", list: "a list", float: "a number"}


def find(folder: Path) -> Path | None:
    """The table of a folder, or None.

    Raises:
        SpecError: there are two.
    """
    existing = [folder / name for name in NAMES if os.path.lexists(folder / name)]
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
        _check_form(path)
        if path.suffix == ".parquet":
            return list(_parquet(path).schema_arrow.names)
        if path.suffix == ".jsonl":
            names: dict[str, None] = {}
            for row in _objects(path):
                names.update(dict.fromkeys(row))
            return list(names)
        return texts.header(path)


def rows(
    path: Path, wanted: Sequence[str], *, written: Collection[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Row number, from 1, and the cells of the wanted columns; a missing cell is empty.

    Args:
        path: the table.
        wanted: names of columns.
        written: those that hold what people wrote: a number with a point is not that.

    Raises:
        SpecError: the table cannot be read, or a cell is not a text.
    """
    with _readable(path):
        for number, row in enumerate(_rows(path, wanted), start=1):
            yield (
                number,
                [
                    cell
                    if isinstance(cell, str) and cell.isascii()
                    else _text(cell, f"{path} row {number}: {name}", whole=name in written)
                    for cell, name in zip(row, wanted, strict=True)
                ],
            )


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[Sequence[object]]:
    if path.suffix == ".parquet":
        for batch in _parquet(path).iter_batches(columns=list(dict.fromkeys(wanted))):
            yield from zip(*(batch.column(name).to_pylist() for name in wanted), strict=True)
    elif path.suffix == ".jsonl":
        for record in _objects(path):
            yield [record.get(name) for name in wanted]
    else:
        header = texts.header(path)
        places = [header.index(name) for name in wanted]
        for cells in texts.rows(path):
            yield [cells[at] for at in places]


def _text(cell: object, where: str, *, whole: bool) -> str:
    """The text of a cell. Numbers stand for speakers; NaN is how pandas writes that one is unknown.

    Args:
        cell: as its reader gives it.
        where: table, row and column, for errors.
        whole: True if a number with a point cannot be meant.
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise SpecError(
                "data.source",
                f"{where} has U+{ord(cell[error.start]):04X}, half of a character.",
                hint="Write the table again, in UTF-8.",
            ) from None
        return cell
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float) and not whole:
        return "" if math.isnan(cell) else f"{cell:.15g}"
    kind = next((name for kind, name in _KINDS.items() if isinstance(cell, kind)), "of no text")
    shown = "NaN" if isinstance(cell, float) and math.isnan(cell) else repr(cell)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
    raise SpecError("data.source", f"{where} is {kind}, not a text: {shown}.")


def _objects(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except RecursionError:
                raise SpecError(
                    "data.source", f"{path} line {number} is nested too deeply."
                ) from None
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise SpecError(
                    "data.source",
                    f"{path} line {number} is not a JSON object: {line.strip()[:40]!r}.",
                    hint='Each line is one: {"file_name": ..., "sentence": ...}.',
                )
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


def _check_form(path: Path) -> None:
    """Refuses what is not a table at all, before it is opened: a pipe may wait for ever.

    Raises:
        SpecError: it is not a file, or the first bytes show something else.
    """
    if not path.is_file():
        what = "not a file" if path.exists() else "a broken link"
        raise SpecError("data.source", f"{path} is {what}.")
    with path.open("rb") as file:
        head = file.read(heads.SIZE)
    if path.suffix == ".parquet" and head.startswith(b"PAR1"):
        return
    what, hint = heads.instead_of_text(head)
    if what:
        raise SpecError("data.source", f"{path} is {what}.", hint=hint)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns errors of readers into one line. `pyarrow.ArrowInvalid` is a ValueError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except (csv.Error, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SpecError("data.source", f"{path} cannot be read: {reason}.") from None
    except OSError as error:
        raise SpecError("data.source", f"{path}: {error.strerror or error}.") from None


def _not_utf8(path: Path, error: UnicodeDecodeError) -> SpecError:
    """The error for another encoding: the line, and how it may have been meant."""
    whole = path.read_bytes()
    try:
        whole.decode()
    except UnicodeDecodeError as absolute:  # the error given counts from the start of a chunk
        error = absolute
    line = whole.count(b"\n", 0, error.start) + 1
    return SpecError(
        "data.source",
        f"{path} is not UTF-8 (line {line}, byte 0x{whole[error.start]:02x}); it looks like an "
        "encoding of one byte for each character, such as Latin-1 or Windows-1252.",
        hint="Save it as UTF-8.",
    )
