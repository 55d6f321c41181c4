"""How an audio folder is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora.folder import Clip
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import HEADER, ROWS, write_folder, write_table

EXPECTED = [(name, text, who, split) for name, text, who, split in ROWS]


def _told(clips: list[Clip]) -> list[tuple[str, str, str, str]]:
    return [(clip.name, clip.text, clip.speaker, clip.split) for clip in clips]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_every_form_of_table_gives_the_same_clips(tmp_path: Path, form: str) -> None:
    root = write_folder(tmp_path / "speech", form=form)
    clips = audiofolder.read(root, "el", DataSpec())
    assert _told(clips) == EXPECTED
    assert all(clip.path == root / clip.name and clip.path.exists() for clip in clips)


@pytest.mark.parametrize(
    "header",
    [
        ("path", "text", "speaker_id", "split"),
        ("audio", "transcription", "speaker", "SPLIT"),
        ("File_Name", "transcript", "client_id", "Split"),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path: Path, header: tuple[str, ...]) -> None:
    root = write_folder(tmp_path, header=header)
    assert _told(audiofolder.read(root, "el", DataSpec())) == EXPECTED


def test_columns_that_are_given_come_before_those_found(tmp_path: Path) -> None:
    rows = [("a.wav", "found", "x", "given", "y")]
    header = ("file_name", "sentence", "client_id", "written", "who")
    root = write_folder(tmp_path, rows, header=header)
    data = DataSpec(text_column="written", speaker_column="who")
    assert _told(audiofolder.read(root, "el", data)) == [("a.wav", "given", "y", "train")]


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("data.text_column", DataSpec(text_column="words")),
        ("data.speaker_column", DataSpec(speaker_column="words")),
        ("data.audio_column", DataSpec(audio_column="words")),
    ],
)
def test_a_column_that_is_missing_is_told_with_those_that_exist(
    tmp_path: Path, field: str, data: DataSpec
) -> None:
    write_folder(tmp_path)
    with pytest.raises(SpecError) as caught:
        audiofolder.read(tmp_path, "el", data)
    assert caught.value.field == field
    assert "'words'" in str(caught.value)
    assert "file_name, sentence, client_id, split" in str(caught.value)


def test_a_table_without_transcripts_is_told_with_its_columns(tmp_path: Path) -> None:
    write_folder(tmp_path, [("a.wav", "x")], header=("file_name", "label"))
    with pytest.raises(SpecError, match=r"no column for the transcript.*It has file_name, label"):
        audiofolder.read(tmp_path, "el", DataSpec())


def test_splits_come_from_folders_with_tables_of_their_own(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        write_folder(tmp_path / name, [(f"{name}.wav", name)], header=("file_name", "text"))
    told = _told(audiofolder.read(tmp_path, "el", DataSpec()))
    assert sorted(told) == [
        ("dev/dev.wav", "dev", "", "dev"),
        ("test/test.wav", "test", "", "test"),
        ("train/train.wav", "train", "", "train"),
    ]


def test_splits_come_from_the_path_when_no_column_names_them(tmp_path: Path) -> None:
    rows = [("test/a.wav", "x"), ("clips/b.wav", "y"), ("c.wav", "z")]
    write_folder(tmp_path, rows, header=("file_name", "text"))
    clips = audiofolder.read(tmp_path, "el", DataSpec())
    assert [clip.split for clip in clips] == ["test", "train", "train"]


@pytest.mark.parametrize("name", ["el", "el_gr", "ell", "Greek", "EL"])
def test_a_folder_for_each_language_is_found_by_any_name_of_it(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / name)
    write_folder(tmp_path / "hi", [("h.wav", "x", "y", "test")])
    assert _told(audiofolder.read(tmp_path, "el", DataSpec())) == EXPECTED
    with pytest.raises(SpecError, match=r"no folder for Swahili \(sw\)\. Those that exist: .*hi"):
        audiofolder.read(tmp_path, "sw", DataSpec())


def test_a_column_with_the_language_chooses_its_rows(tmp_path: Path) -> None:
    rows = [("a.wav", "x", "el"), ("b.wav", "y", "en-US"), ("c.wav", "z", "")]
    write_folder(tmp_path, rows, header=("file_name", "text", "locale"))
    assert [c.name for c in audiofolder.read(tmp_path, "en", DataSpec(), own=False)] == ["b.wav"]
    with pytest.raises(SpecError, match="lists no clip in Hindi"):
        audiofolder.read(tmp_path, "hi", DataSpec())


def test_speech_of_one_language_does_not_test_another(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(SpecError, match=r"does not say what is English \(en\)"):
        audiofolder.read(tmp_path, "en", DataSpec(), own=False)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.wav", "..", "a\x00.wav", "a\x1b.wav"]
)
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path / "speech", [(name, "x", "y", "train")], form="jsonl", audio=False)
    with pytest.raises(SpecError, match=r"row 1: .* is not a file inside the folder"):
        audiofolder.read(root, "el", DataSpec())


def test_a_file_name_may_go_up_as_long_as_it_stays_inside(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", [("../clips/a.wav", "x")], header=("file_name", "text"))
    (clip,) = audiofolder.read(tmp_path, "el", DataSpec())
    assert (clip.name, clip.split) == ("clips/a.wav", "train")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("metadata.csv", "file_name,text\na.wav,Ναι".encode("iso-8859-7"), "is not UTF-8"),
        ("metadata.jsonl", b'{"file_name": "a.wav"}\n{oops\n', "line 2 is not a JSON object"),
        ("metadata.jsonl", b"[1, 2]\n", "line 1 is not a JSON object"),
        ("metadata.parquet", b"PAR1 but not really", "cannot be read"),
        ("metadata.csv", b"", "no column for the audio file"),
        ("metadata.csv", b"file_name,text\n", "lists no clip in Greek"),
        ("metadata.csv", b"file_name,text\n,words\n", "row 1: the file name is empty"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError) as caught:
        audiofolder.read(tmp_path, "el", DataSpec())
    assert problem in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_an_empty_and_a_bare_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is not a folder"):
        audiofolder.read(tmp_path / "nowhere", "el", DataSpec())
    with pytest.raises(SpecError, match="is empty"):
        audiofolder.read(tmp_path, "el", DataSpec())
    (tmp_path / "a.wav").write_bytes(b"x")
    with pytest.raises(SpecError, match=r"has no metadata\.csv"):
        audiofolder.read(tmp_path, "el", DataSpec())
    write_folder(tmp_path, form="csv")
    write_folder(tmp_path, form="jsonl")
    with pytest.raises(SpecError, match=r"has metadata\.csv and metadata\.jsonl"):
        audiofolder.read(tmp_path, "el", DataSpec())


def test_quotes_in_a_tsv_are_text_unless_they_wrap_a_cell(tmp_path: Path) -> None:
    lines = ["file_name\ttext", 'a.wav\t"Hi", he said', 'b.wav\t"He said ""hi"""', 'c.wav\t"\'"']
    (tmp_path / "metadata.tsv").write_text("\n".join(lines))
    texts = [clip.text for clip in audiofolder.read(tmp_path, "en", DataSpec())]
    assert texts == ['"Hi", he said', 'He said "hi"', "'"]


def test_a_byte_order_mark_and_spaces_in_transcripts_do_no_harm(tmp_path: Path) -> None:
    content = '\ufefffile_name,text\r\na.wav,"  one\n two\t"\r\n\r\n'
    (tmp_path / "metadata.csv").write_text(content, newline="")
    (clip,) = audiofolder.read(tmp_path, "en", DataSpec())
    assert (clip.name, clip.text) == ("a.wav", "one two")


def test_reading_a_folder_imports_nothing_heavy(tmp_path: Path) -> None:
    write_table(tmp_path / "metadata.csv", HEADER, ROWS)
    script = (
        "import sys; from pathlib import Path; from jobrunner.corpora import folder; "
        "from jobrunner.spec import DataSpec; "
        f"folder.read(Path({str(tmp_path)!r}), 'el', DataSpec()); "
        "sys.exit(bool({'numpy', 'pyarrow', 'soundfile', 'torch'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
