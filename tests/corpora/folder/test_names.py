"""Names of audio files: as people have them, and what tells them apart when none is found."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora.folder.names import Names
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import audio_bytes, write_folder

ORDINARY = ("a b.mp3", "a\u00a0b.mp3", "می\u200cخواهم.mp3", "क्\u200dष.mp3", "\u202fx.mp3")


def _forms(name: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("name", ORDINARY)
def test_spaces_and_joiners_in_names_are_legitimate(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, [(name, "x")], header=("file_name", "text"))
    (clip,) = audiofolder.read(tmp_path, "fa", DataSpec())
    assert clip.name == name
    assert clip.path.exists()


@pytest.mark.parametrize("name", ["a\u2028b.mp3", "a\nb.mp3", "a\x7fb.mp3", "a\x85.mp3"])
def test_control_characters_and_line_ends_in_names_are_refused(tmp_path: Path, name: str) -> None:
    rows = [(name, "x")]
    write_folder(tmp_path, rows, header=("file_name", "text"), form="jsonl", audio=False)
    with pytest.raises(SpecError, match=r"row 1: .* is not a file inside the folder"):
        audiofolder.read(tmp_path, "fa", DataSpec())


@pytest.mark.parametrize("name", ["έλ/ναί.mp3", "mañana/é.mp3", "한국어.mp3", "कि\u0915\u093c.mp3"])
def test_composed_and_decomposed_names_are_the_same_file(tmp_path: Path, name: str) -> None:
    for at, (table, disk) in enumerate((_forms(name), _forms(name)[::-1])):
        root = write_folder(
            tmp_path / str(at), [(table, "x")], header=("path", "text"), audio=False
        )
        (root / disk).parent.mkdir(exist_ok=True, parents=True)
        (root / disk).write_bytes(audio_bytes(disk))
        (clip,) = audiofolder.read(root, "el", DataSpec())
        assert clip.name == disk
        assert clip.path.exists()


def test_of_two_files_that_differ_in_composition_each_row_gets_its_own(tmp_path: Path) -> None:
    composed, decomposed = _forms("é.mp3")
    rows = [(composed, "x"), (decomposed, "y")]
    write_folder(tmp_path, rows, header=("path", "text"))
    clips = audiofolder.read(tmp_path, "fr", DataSpec())
    assert [clip.name for clip in clips] == [composed, decomposed]


@pytest.mark.parametrize(
    ("table", "disk", "told"),
    [
        ("a\u00a0b.mp3", "a b.mp3", "a b.mp3, with U+0020 where the table has U+00A0."),
        ("a b.mp3", "a\u00a0b.mp3", "a\u00a0b.mp3, with U+00A0 where the table has U+0020."),
        ("می\u200cخ.mp3", "میخ.mp3", "میخ.mp3, with nothing where the table has U+200C."),
        ("ab .mp3", "ab.mp3", "ab.mp3, with nothing where the table has U+0020."),
        ("A.MP3", "a.mp3", "a.mp3."),
        ("a", "a.mp3", "a.mp3."),
        ("a.wav", "a.mp3", "a.mp3."),
        ("a.mp3", "clips/a.mp3", "clips/a.mp3."),
        ("clips\\a.mp3", "clips/a.mp3", "clips/a.mp3."),
        ("\u0430.mp3", "b.mp3", ""),
    ],
)
def test_the_most_similar_file_is_named_with_what_eyes_do_not_see(
    tmp_path: Path, table: str, disk: str, told: str
) -> None:
    (tmp_path / disk).parent.mkdir(exist_ok=True)
    (tmp_path / disk).touch()
    names = Names(tmp_path)
    assert names.on_disk(table) == table
    assert names.nearest(table) == (f"There is {told}" if told else "")


def test_a_missing_file_comes_with_the_one_that_is_there(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train/a.mp3").rename(tmp_path / "train/A.mp3")
    with pytest.raises(SpecError, match=r"is missing, such as .*train/a\.mp3\. There is train/A"):
        audiofolder.check(tmp_path, "el", DataSpec())
