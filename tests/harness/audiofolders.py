"""Audio folders made in the test. Of their audio only the first bytes are real."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

HEADER = ("file_name", "sentence", "client_id", "split")
ROWS = (
    ("train/a.mp3", "Ένα δύο.", "anna", "train"),
    ("train/b.mp3", "Τρία τέσσερα.", "nikos", "train"),
    ("dev/c.mp3", "Πέντε έξι.", "maria", "dev"),
    ("test/d.mp3", "Επτά οκτώ.", "petros", "test"),
)


def write_folder(
    root: Path,
    rows: Iterable[Sequence[str]] = ROWS,
    *,
    header: Sequence[str] = HEADER,
    form: str = "csv",
    audio: bool = True,
) -> Path:
    """A folder with a table, and a file of its own bytes for each row."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [tuple(row) for row in rows]
    write_table(root / f"metadata.{form}", header, rows)
    for row in rows if audio else []:
        path = root / row[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(audio_bytes(row[0]))
    return root


def audio_bytes(name: str) -> bytes:
    """Bytes of its own for each name, which begin as audio does."""
    return b"OggS" + bytes(60) + f"audio of {name}".encode()


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in the form that its suffix names."""
    objects = [dict(zip(header, row, strict=False)) for row in rows]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects))
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(objects), path)
    else:
        with path.open("w", newline="") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            csv.writer(file, delimiter=delimiter).writerows([header, *rows])
