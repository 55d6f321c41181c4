"""Text tables: what is written comes back, and what would be swallowed or shifted is refused."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora.folder import tables
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import write_folder

# Any text that a transcript can be; NUL would be taken for UTF-16.
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
TEXTS = st.text(CHARACTERS, max_size=30)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30)
ROWS = 12
LINES = [f"train/{n:02d}.mp3,Πρόταση {n} εδώ,anna,train" for n in range(ROWS)]
HEAD = "file_name,sentence,client_id,split"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def _texts(path: Path) -> list[str]:
    return [cells[1] for _, cells in tables.rows(path, ("file_name", "text"))]


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_every_text_of_a_csv_comes_back_as_it_was_written(
    place: Path, quoting: int, texts: list[str]
) -> None:
    path = place / f"{quoting}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=quoting)  # type: ignore[arg-type]
        writer.writerows([("file_name", "text"), *((f"{n}.wav", t) for n, t in enumerate(texts))])
    assert _texts(path) == texts


@given(st.lists(TEXTS, min_size=1, max_size=6), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_of_a_jsonl_comes_back_as_it_was_written(
    place: Path, texts: list[str], plain: bool
) -> None:
    path = place / "some.jsonl"
    records = [{"file_name": f"{n}.wav", "text": text} for n, text in enumerate(texts)]
    lines = [json.dumps(record, ensure_ascii=plain) for record in records]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert _texts(path) == texts


@given(st.lists(WORDS.filter(lambda text: '"' not in text), min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_of_a_tsv_comes_back_as_it_was_written(place: Path, texts: list[str]) -> None:
    path = place / "some.tsv"
    lines = ["file_name\ttext", *(f"{n}.wav\t{text}" for n, text in enumerate(texts))]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert _texts(path) == texts


def _read(tmp_path: Path, lines: list[str], name: str = "metadata.csv") -> str:
    """The one line with which a table is refused."""
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    with pytest.raises(SpecError) as caught:
        audiofolder.read(tmp_path, "el", DataSpec())
    assert caught.value.field == "data.source"
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    return str(caught.value)


@given(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1), st.sampled_from(["start", "end", "mid"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_quote_makes_rows_disappear(place: Path, first: int, second: int, where: str) -> None:
    lines = [line.split(",") for line in LINES]
    lines[first][1] = '"' + lines[first][1]
    if first != second:
        at = {"start": 0, "end": len(lines[second][1]), "mid": 3}[where]
        lines[second][1] = f'{lines[second][1][:at]}"{lines[second][1][at:]}'
    path = place / "metadata.csv"
    path.write_text("\n".join([HEAD, *(",".join(line) for line in lines)]) + "\n")
    with pytest.raises(SpecError, match=r"row \d+: a quote "):
        audiofolder.read(place, "el", DataSpec())


def test_a_quote_that_never_closes_is_named_with_row_and_line(tmp_path: Path) -> None:
    lines = [HEAD, *LINES]
    lines[5] = lines[5].replace("Πρόταση", '"Πρόταση')
    assert "row 5: a quote opens on line 6 and never closes, up to line 13" in _read(
        tmp_path, lines
    )


def test_a_quote_that_ends_in_another_row_names_the_row_that_it_swallows(tmp_path: Path) -> None:
    for suffix in (".mp3", ""):  # names without an end are known by the files
        lines = [HEAD, *(line.replace(".mp3", suffix) for line in LINES)]
        lines[5] = lines[5].replace("Πρόταση", '"Πρόταση')
        lines[6] = lines[6].replace("εδώ", 'εδώ"')
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / f"train/05{suffix}").touch()
        told = _read(tmp_path, lines)
        assert f"row 5: a quote that opens on line 6 swallows the row of train/05{suffix}." in told


def test_a_transcript_of_several_lines_with_commas_is_one_transcript(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text('file_name,text\na.wav,"Ένα, δύο,\nτρία, τέσσερα"\n')
    (clip,) = audiofolder.read(tmp_path, "el", DataSpec())
    assert clip.text == "Ένα, δύο, τρία, τέσσερα"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.mp3,Ένα, δύο,anna,train", "row 2 has 5 cells below 4 columns. A text with a comma"),
        ("a.mp3,Ένα,anna", "row 2 has 3 cells below 4 columns. An empty cell is written too."),
        ("a.mp3", "row 2 has 1 cell below 4 columns."),
    ],
)
def test_a_row_with_more_or_fewer_cells_than_columns_is_refused(
    tmp_path: Path, row: str, told: str
) -> None:
    assert told in _read(tmp_path, [HEAD, LINES[0], row])
    tabs = [HEAD.replace(",", "\t"), LINES[0].replace(",", "\t"), row.replace(",", "\t")]
    (tmp_path / "metadata.csv").unlink()
    assert told.partition("A text")[0].rstrip(".") in _read(tmp_path, tabs, "metadata.tsv")


def test_blank_rows_and_empty_cells_behind_the_last_column_do_no_harm(tmp_path: Path) -> None:
    lines = [f"{HEAD},,", "", f"{LINES[0]},,,", ",,,,", f"{LINES[1]}", ""]
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    assert [clip.name for clip in audiofolder.read(tmp_path, "el", DataSpec())] == [
        "train/00.mp3",
        "train/01.mp3",
    ]


@pytest.mark.parametrize(
    ("separator", "name", "told"),
    [
        (";", "metadata.csv", "looks separated by ';', not commas. Write it with commas."),
        ("|", "metadata.csv", "looks separated by '|', not commas. Write it with commas."),
        ("\t", "metadata.csv", "looks separated by tabs, not commas. Name it metadata.tsv."),
        (",", "metadata.tsv", "looks separated by commas, not tabs. Write it with tabs."),
    ],
)
def test_another_separator_is_named(tmp_path: Path, separator: str, name: str, told: str) -> None:
    lines = [line.replace(",", separator) for line in (HEAD, *LINES)]
    assert told in _read(tmp_path, lines, name)
    told = told.replace(". ", ", and without a header row. ", 1)
    assert told in _read(tmp_path, lines[1:], name)


def test_a_table_without_a_header_row_shows_how_it_begins(tmp_path: Path) -> None:
    told = _read(tmp_path, LINES)
    assert "has no header row: it begins with 'train/00.mp3,Πρόταση 0 εδώ,anna,train'." in told
    assert "Begin it with names of columns, such as file_name,sentence." in told
    bare = [line.replace(".mp3", "") for line in LINES]
    (tmp_path / "train").mkdir()
    (tmp_path / "train/00").touch()
    assert "has no header row" in _read(tmp_path, bare)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    lines = [f"{HEAD},sentence", f"{LINES[0]},άλλη"]
    assert "has two columns 'sentence'. Rename or remove the others." in _read(tmp_path, lines)


Encode = Callable[[str], bytes]
FORMS: dict[str, tuple[Encode, str]] = {
    "UTF-16": (lambda text: text.encode("utf-16"), "is UTF-16, not UTF-8"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "but UTF-16, as it looks"),
    "bytes": (lambda text: text.encode().replace(b"0", b"\0", 1), "is not a text: it has bytes"),
    "UTF-32": (lambda text: text.encode("utf-32"), "is UTF-32, not UTF-8"),
    "Greek": (lambda text: text.encode("cp1253"), "is not UTF-8 (line 2, byte 0xd0); it looks"),
    "LFS": (lambda text: b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "page": (lambda text: b"<!DOCTYPE html>\n<html>", "is a web page"),
    "spreadsheet": (lambda text: b"PK\x03\x04" + bytes(50), "is a spreadsheet or an archive"),
    "gzip": (lambda text: b"\x1f\x8b\x08\x00" + bytes(50), "is a gzip archive"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_in_another_form_says_in_which(tmp_path: Path, form: str) -> None:
    encode, told = FORMS[form]
    path = tmp_path / "metadata.csv"
    path.write_bytes(encode("\n".join([HEAD, *LINES])))
    with pytest.raises(SpecError) as caught:
        audiofolder.read(tmp_path, "el", DataSpec())
    assert str(caught.value).startswith(f"data.source: {path} is ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("sentence", '{"a": 1}', "row 2: sentence is an object, not a text: {'a': 1}."),
        ("sentence", '["a"]', "row 2: sentence is a list, not a text: ['a']."),
        ("sentence", "NaN", "row 2: sentence is a number, not a text: NaN."),
        ("sentence", "1.5", "row 2: sentence is a number, not a text: 1.5."),
        ("sentence", "true", "row 2: sentence is a truth value, not a text: True."),
        ("sentence", '"a\\ud800"', "row 2: sentence has U+D800, half of a character."),
        ("sentence", '"a\\u0000"', "row 2: sentence has U+0000, which no text has."),
        ("client_id", '"\\udc00"', "row 2: client_id has U+DC00, half of a character."),
        ("client_id", '{"a": 1}', "row 2: client_id is an object, not a text"),
        ("file_name", "[]", "row 2: file_name is a list, not a text: []."),
        ("other", "[" * 100_000, "line 2 is nested too deeply."),
    ],
)
def test_what_is_not_a_text_in_a_jsonl_is_refused(
    tmp_path: Path, field: str, value: str, told: str
) -> None:
    record = {"file_name": '"b.wav"', "sentence": '"Ναι"', field: value}
    inside = ", ".join(f'"{name}": {cell}' for name, cell in record.items())
    first = '{"file_name": "a.wav", "sentence": "1984", "client_id": 7}'
    assert told in _read(tmp_path, [first, f"{{{inside}}}"], "metadata.jsonl")


def test_numbers_may_name_speakers_and_be_transcripts(tmp_path: Path) -> None:
    lines = [
        '{"file_name": "a.wav", "text": 1984, "speaker": 7}',
        '{"file_name": "b.wav", "text": "x", "speaker": 7.0}',
        '{"file_name": "c.wav", "text": "x", "speaker": NaN}',
        '{"file_name": "d.wav", "text": "x", "speaker": null}',
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    clips = audiofolder.read(tmp_path, "el", DataSpec())
    assert [(clip.text, clip.speaker) for clip in clips] == [
        ("1984", "7"),
        *(("x", speaker) for speaker in ("7", "", "")),
    ]


def test_what_is_not_a_text_in_a_parquet_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "metadata.parquet"
    for value, told in ((float("nan"), "NaN"), (b"bytes", "b'bytes'"), ({"path": "a"}, "object")):
        columns = {"file_name": ["a.wav"], "text": [value]}
        parquet.write_table(pyarrow.table(columns), path)
        with pytest.raises(SpecError, match=rf"row 1: text is .*not a text.*{told}|{told}"):
            audiofolder.read(tmp_path, "el", DataSpec())


def test_a_table_that_is_not_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.csv")
    with pytest.raises(SpecError, match=r"metadata\.csv is not a file\."):
        audiofolder.read(tmp_path, "el", DataSpec())
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.csv").symlink_to("nowhere")
    with pytest.raises(SpecError, match=r"metadata\.csv is a broken link\."):
        audiofolder.read(tmp_path, "el", DataSpec())


def test_a_broken_table_of_another_language_does_no_harm(tmp_path: Path) -> None:
    write_folder(tmp_path / "el")
    (tmp_path / "cy").mkdir()
    (tmp_path / "cy/metadata.csv").symlink_to("nowhere")
    assert len(audiofolder.read(tmp_path, "el", DataSpec())) == 4
    with pytest.raises(SpecError, match=r"cy/metadata\.csv is a broken link\."):
        audiofolder.read(tmp_path, "cy", DataSpec(), own=False)
