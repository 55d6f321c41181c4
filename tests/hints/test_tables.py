"""Tables that are refused, written as their hints say."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.audiofolders import HEADER, ROWS, write_table
from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.hints.case import SPEECH, SUBMIT, Case, follow, instead, rows, table, without

__all__ = ["here", "jobrunner"]

TEXT = "Ένα δύο."
CSV = Path("speech/metadata.csv")


def _other(name: str, text: str) -> Callable[[], object]:
    """Writes another table in the place of the good one."""

    def write() -> None:
        CSV.unlink(missing_ok=True)
        Path("speech", name).write_text(text)

    return write


def _binary(content: bytes) -> Callable[[], object]:
    return lambda: CSV.write_bytes(content)


def _lines(**changes: str) -> str:
    objects = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    return "".join(json.dumps({**line, **changes}) + "\n" for line in objects)


def _replaced(old: str, new: str, text: str | None = None) -> str:
    text = rows() if text is None else text
    assert old in text
    return text.replace(old, new)


TABS = rows("\t")
CASES = {
    "another separator": Case(
        mistake=table(rows(";")), hint="Write it with commas.", repair=table(rows())
    ),
    "tabs in a csv": Case(
        mistake=table(TABS),
        hint="Name it metadata.tsv.",
        repair=lambda: CSV.rename(CSV.with_suffix(".tsv")),
    ),
    "no names of columns": Case(
        mistake=table(rows(head=False)),
        hint="Begin it with names of columns, such as file_name,sentence.",
        repair=table(rows()),
    ),
    "another encoding": Case(
        mistake=table(rows(), encoding="iso8859-7"),
        hint="Save it as UTF-8.",
        repair=table(rows()),
    ),
    "UTF-16": Case(
        mistake=table(rows(), encoding="utf-16"), hint="Save it as UTF-8.", repair=table(rows())
    ),
    "a web page": Case(
        mistake=table("<!doctype html><p>Log in"),
        hint="Download the table itself.",
        repair=table(rows()),
    ),
    "a spreadsheet": Case(
        mistake=_binary(b"PK\x03\x04 [Content_Types].xml"),
        hint="Export it as a .csv in UTF-8.",
        repair=table(rows()),
    ),
    "a table in gzip": Case(
        mistake=_binary(b"\x1f\x8b\x08\x00"), hint="Unpack it.", repair=table(rows())
    ),
    "a column twice": Case(
        mistake=table(_replaced("client_id", "sentence")),
        hint="Rename or remove the others.",
        repair=table(rows()),
    ),
    "a cell too few": Case(
        mistake=table(_replaced(f"{TEXT},anna,train", f"{TEXT},train")),
        hint="An empty cell is written too.",
        repair=table(_replaced(f"{TEXT},anna,train", f"{TEXT},,train")),
    ),
    "a row of two lines": Case(
        mistake=_other("metadata.tsv", _replaced(TEXT, "Ένα\nδύο.", TABS)),
        hint="An empty cell is written too, and a row is one line.",
        repair=_other("metadata.tsv", TABS),
    ),
    "a comma in a text": Case(
        mistake=table(_replaced(TEXT, "Ένα, δύο.")),
        hint="A text with a comma stands between quotes.",
        repair=table(_replaced(TEXT, '"Ένα, δύο."')),
    ),
    "a tab in a text": Case(
        mistake=_other("metadata.tsv", _replaced(TEXT, "Ένα\tδύο.", TABS)),
        hint="One tab separates two cells; a text has none.",
        repair=_other("metadata.tsv", _replaced(TEXT, "Ένα δύο.", TABS)),
    ),
    "a quote in a text": Case(
        mistake=table(_replaced(TEXT, '"Ένα" δύο.')),
        hint='A text with a quote is written "like ""this""".',
        repair=table(_replaced(TEXT, '"""Ένα"" δύο."')),
    ),
    "a column that is not there": Case(
        wrong=(*SUBMIT, "--set", "data.text_column=words"),
        hint="It has file_name, sentence, client_id, split.",
        right=(*SUBMIT, "--set", "data.text_column=sentence"),
    ),
    "an unusual column": Case(
        mistake=table(_replaced("sentence", "spoken")),
        hint="It has file_name, spoken, client_id, split; name the one to use.",
        right=(*SUBMIT, "--set", "data.text_column=spoken"),
    ),
    "texts in another column": Case(
        mistake=table(
            "file_name,sentence,words,split\n"
            + "".join(f"{name},,{text},{split}\n" for name, text, _, split in ROWS)
        ),
        hint="Another column than the one found may hold them.",
        right=(*SUBMIT, "--set", "data.text_column=words"),
    ),
    "no table": Case(
        mistake=CSV.unlink,
        hint="It lists the audio files: a column file_name and one with the transcript.",
        repair=table("".join(f"{line}\n" for line in rows().splitlines())),
    ),
    "two tables": Case(
        mistake=table(TABS, name="metadata.tsv"), hint="Keep one of them.", repair=CSV.unlink
    ),
    "another language's folder": Case(
        mistake=lambda: _into_folders("cy"),
        hint="Those that exist: cy.",
        right=(*without("--lang"), "--lang", "cy"),
    ),
    "a language that a table does not name": Case(
        wrong=(*SUBMIT, "--eval-lang", "cy"),
        hint="Add a column `locale`, or keep each language in a folder such as cy/.",
        repair=table(
            "".join(
                f"{line},{'locale' if not at else 'el' if at < 4 else 'cy'}\n"
                for at, line in enumerate(rows().splitlines())
            )
        ),
        right=(*SUBMIT, "--eval-lang", "cy"),
    ),
    "languages in folders": Case(
        wrong=(*SUBMIT, "--eval-lang", "cy"),
        hint="Add a column `locale`, or keep each language in a folder such as {}/.",
        repair=lambda: _into_folders("el", "cy"),
        right=(*SUBMIT, "--eval-lang", "cy"),
    ),
    "half a character": Case(
        mistake=_other("metadata.jsonl", _lines(sentence="\ud800")),
        hint="Write the table again, in UTF-8.",
        repair=_other("metadata.jsonl", _lines()),
    ),
    "a list in jsonl": Case(
        mistake=_other("metadata.jsonl", '["train/a.mp3", "Ένα"]\n'),
        hint='Each line is one: {"file_name": ..., "sentence": ...}.',
        repair=_other("metadata.jsonl", _lines()),
    ),
    "no folder of data": Case(
        wrong=instead("--data", "folder:no"),
        hint="Give the path of one that exists.",
    ),
    "a test without text": Case(
        mistake=table(_replaced("Επτά οκτώ.", "...")),
        hint="Check the transcripts of the test split.",
        repair=table(rows()),
    ),
}


def _into_folders(*languages: str) -> None:
    """Moves the audio folder into a folder for each language."""
    Path("speech").rename("whole")
    for language in languages:
        shutil.copytree("whole", Path("speech", language))
    shutil.rmtree("whole")


@pytest.mark.parametrize("name", CASES)
def test_a_table_written_as_the_hint_says_is_read(
    name: str, jobrunner: Jobrunner, here: Path
) -> None:
    follow(CASES[name], jobrunner, here)


@pytest.mark.parametrize("with_pyarrow", [True, False])
def test_a_parquet_is_read_with_pyarrow_and_a_csv_without(
    jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch, with_pyarrow: bool
) -> None:
    def write() -> None:
        CSV.unlink()
        write_table(CSV.with_suffix(".parquet"), HEADER, ROWS)
        monkeypatch.setitem(sys.modules, "pyarrow", None)

    def repair() -> None:
        if with_pyarrow:
            monkeypatch.undo()
            monkeypatch.chdir(here)
        else:
            CSV.with_suffix(".parquet").unlink()
            table(rows())()

    assert SPEECH[0] in SUBMIT
    hint = "pip install 'jobrunner[core]', or write metadata.csv."
    follow(Case(mistake=write, hint=hint, repair=repair), jobrunner, here)
