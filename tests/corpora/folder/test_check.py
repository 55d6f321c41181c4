"""What is said of an audio folder before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobrunner.corpora import folder as audiofolder
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import ROWS, write_folder

FORTY = [(f"train/{n}.mp3", f"Πρόταση {n}.", "anna", "train") for n in range(40)]
TEST = ("test/t.mp3", "Κάτι άλλο.", "petros", "test")


def _warnings(root: Path, language: str, data: DataSpec, **more: Any) -> list[str]:
    return list(audiofolder.check(root, language, data, **more).warnings)


def test_a_folder_without_faults_gives_no_warning(tmp_path: Path) -> None:
    assert _warnings(write_folder(tmp_path), "el", DataSpec()) == []


def test_some_missing_files_are_counted_and_many_are_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, [*FORTY, TEST])
    (tmp_path / "train/0.mp3").unlink()
    (tmp_path / "train/1.mp3").unlink()
    (warning,) = _warnings(tmp_path, "el", DataSpec())
    assert warning.startswith("el: 2 of 41 audio files are missing, such as ")
    (tmp_path / "train/2.mp3").unlink()
    with pytest.raises(SpecError, match=r"data\.source: 3 of 41 audio files are missing"):
        audiofolder.check(tmp_path, "el", DataSpec())


def test_some_empty_transcripts_are_counted_and_all_are_an_error(tmp_path: Path) -> None:
    rows = [(name, "" if at < 3 else text, *rest) for at, (name, text, *rest) in enumerate(FORTY)]
    write_folder(tmp_path, [*rows, TEST])
    (warning,) = _warnings(tmp_path, "el", DataSpec())
    assert warning == "el: 3 of 40 transcripts of train are empty; dropped."
    write_folder(tmp_path, [*[(name, " ", *rest) for name, _, *rest in FORTY], TEST])
    with pytest.raises(SpecError, match=r"data\.text_column: all 40 transcripts of train are"):
        audiofolder.check(tmp_path, "el", DataSpec())


@pytest.mark.parametrize("role", ["train", "validation", "test"])
def test_a_split_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path, role: str) -> None:
    write_folder(tmp_path)
    data = DataSpec.model_validate({f"{role}_split": "other"})
    with pytest.raises(SpecError) as caught:
        audiofolder.check(tmp_path, "el", data)
    assert caught.value.field == f"data.{role}_split"
    assert "'other'" in str(caught.value)
    assert "dev, test, train" in str(caught.value)


def test_only_the_splits_that_are_needed_are_looked_at(tmp_path: Path) -> None:
    write_folder(tmp_path / "el", [TEST])
    assert _warnings(tmp_path, "el", DataSpec(), own=False, wanted=("test",)) == []
    with pytest.raises(SpecError, match=r"data\.train_split: there is no split 'train'"):
        audiofolder.check(tmp_path, "el", DataSpec())


def test_a_file_that_trains_and_tests_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, [*FORTY, ("train/7.mp3", "Πρόταση.", "anna", "test")])
    with pytest.raises(SpecError, match=r"1 clips are in train and in test, such as train/7\.mp3"):
        audiofolder.check(tmp_path, "el", DataSpec())


def test_a_copy_of_a_training_clip_in_test_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, [*FORTY, TEST])
    (tmp_path / "test/t.mp3").write_bytes((tmp_path / "train/11.mp3").read_bytes())
    with pytest.raises(SpecError, match=r"test/t\.mp3 \(train/11\.mp3\)"):
        audiofolder.check(tmp_path, "el", DataSpec())


def test_files_alike_in_size_and_middle_are_not_the_same(tmp_path: Path) -> None:
    write_folder(tmp_path, [*FORTY, TEST])
    (tmp_path / "train/3.mp3").write_bytes(b"OggSa" + bytes(9000))
    (tmp_path / "test/t.mp3").write_bytes(b"OggSb" + bytes(9000))
    assert _warnings(tmp_path, "el", DataSpec()) == []


def test_shared_sentences_and_speakers_are_warned_of_with_counts(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        ("test/e.mp3", "ένα, δύο", "nikos", "test"),
        ("test/f.mp3", "Εννέα.", "", "test"),
        ("train/g.mp3", "Δέκα.", "", "train"),
    ]
    write_folder(tmp_path, rows)
    assert _warnings(tmp_path, "el", DataSpec()) == [
        "el: 1 of 3 sentences of test are in train too.",
        "el: 1 of 2 speakers of test are in train too.",
    ]
