"""Audio files that are missing, or are something else: what is refused and what is warned of."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora.folder import audio
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import audio_bytes, write_folder

DATA = DataSpec.model_validate({"source": "folder:speech"})
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
# 40 clips of each split: 2 of them are 5 %.
ROWS = [
    (f"{split}/{n}.mp3", f"Πρόταση {n} {split[:2]}.", f"{split}{n}", split)
    for split in ("train", "validation", "test")
    for n in range(40)
]


def _spoilt(root: Path, count: int, data: bytes | None, split: str = "train") -> Path:
    write_folder(root, ROWS)
    for n in range(count):
        path = root / f"{split}/{n}.mp3"
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
    return root


@pytest.mark.parametrize(
    ("data", "one", "many", "hint"),
    [
        (None, "is missing", "are missing", ""),
        (POINTER, "is a Git LFS pointer", "are Git LFS pointers, not", "Run `git lfs pull` in"),
        (PAGE, "is a web page", "are web pages", "Download the files themselves."),
        (PAGE + bytes(5000), "is a web page", "are web pages", "Download the files themselves."),
        (b"", "is empty", "are empty", "Copy them again."),
        (b"no audio", "is a text", "are texts", "Formats: WAV, FLAC, MP3"),
        (b"\0\0\0\x20ftypM4A " + bytes(90), "is MP4 or AAC", "are MP4 or AAC", "Convert them"),
    ],
)
def test_a_few_bad_files_are_a_warning_and_many_are_refused(
    tmp_path: Path, data: bytes | None, one: str, many: str, hint: str
) -> None:
    checked = audiofolder.check(_spoilt(tmp_path, 1, data), "el", DATA)
    (warning,) = checked.warnings
    assert warning.startswith(f"el: 1 of 120 audio files {one}")
    assert f"such as {tmp_path}/train/0.mp3." in warning
    assert hint in warning
    assert checked.counts.kept == {"train": 39, "validation": 40, "test": 40}
    assert sum(checked.counts.left_out.values()) == 1

    with pytest.raises(SpecError) as caught:
        audiofolder.check(_spoilt(tmp_path, 40, data), "el", DATA)
    assert str(caught.value).startswith(f"data.source: 40 of 120 audio files {many}")
    assert hint in str(caught.value)


def test_bad_files_that_would_stop_one_split_are_refused(tmp_path: Path) -> None:
    audiofolder.check(_spoilt(tmp_path, 2, POINTER, "test"), "el", DATA)
    with pytest.raises(SpecError, match="3 of 40 audio files of test are Git LFS pointers"):
        audiofolder.check(_spoilt(tmp_path, 3, POINTER, "test"), "el", DATA)


def test_bad_files_of_several_kinds_are_added_up(tmp_path: Path) -> None:
    _spoilt(tmp_path, 2, None)
    (tmp_path / "train/2.mp3").write_bytes(POINTER)
    with pytest.raises(SpecError, match="3 of 40 audio files of train are missing or no audio"):
        audiofolder.check(tmp_path, "el", DATA)


def test_files_of_no_known_format_are_refused_only_if_they_are_most(tmp_path: Path) -> None:
    checked = audiofolder.check(_spoilt(tmp_path, 20, bytes(3000)), "el", DATA)
    assert checked.warnings[0].startswith("el: 20 of 120 audio files are of no known audio format")
    assert checked.counts.kept["train"] == 40
    with pytest.raises(SpecError, match="21 of 40 audio files of train are of no known audio form"):
        audiofolder.check(_spoilt(tmp_path, 21, bytes(3000)), "el", DATA)


def test_of_many_files_all_are_looked_at_once_one_of_the_sample_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "SAMPLE", 10)
    write_folder(tmp_path, ROWS)
    large = audio_bytes("x") + bytes(5000)
    for n in range(40):
        (tmp_path / f"train/{n}.mp3").write_bytes(large + bytes([n]))
    for n in (3, 12):  # of 120 files, every twelfth is in the sample
        (tmp_path / f"train/{n}.mp3").write_bytes(PAGE + bytes(5000 + n))
    (warning,) = audiofolder.check(tmp_path, "el", DATA).warnings
    assert warning.startswith("el: 2 of 120 audio files are web pages")


def test_what_is_not_a_file_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_folder(tmp_path, ROWS) / "train/0.mp3"
    clip.unlink()
    os.mkfifo(clip)
    with pytest.raises(SpecError, match=r"train/0\.mp3 is a pipe, not an audio file\."):
        audiofolder.check(tmp_path, "el", DATA)
    clip.unlink()
    clip.mkdir()
    with pytest.raises(SpecError, match=r"train/0\.mp3 is a folder, not an audio file\."):
        audiofolder.check(tmp_path, "el", DATA)
    clip.rmdir()
    clip.symlink_to("/dev/zero")
    with pytest.raises(SpecError, match=r"train/0\.mp3 is a device, not an audio file\."):
        audiofolder.check(tmp_path, "el", DATA)
    clip.unlink()
    monkeypatch.chdir(clip.parent)  # a socket's path has at most 107 characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("0.mp3")
        with pytest.raises(SpecError, match=r"train/0\.mp3 is a socket, not an audio file\."):
            audiofolder.check(tmp_path, "el", DATA)


@pytest.mark.parametrize("target", ["nowhere.mp3", "0.mp3", "0.mp3/deeper"])
def test_a_clip_whose_link_is_broken_is_missing(tmp_path: Path, target: str) -> None:
    clip = write_folder(tmp_path, ROWS) / "train/0.mp3"
    clip.unlink()
    clip.symlink_to(target)
    (warning,) = audiofolder.check(tmp_path, "el", DATA).warnings
    assert warning == f"el: 1 of 120 audio files is missing, such as {clip}."


@pytest.mark.parametrize(("at", "target"), [("loop", "."), ("train/up", ".."), ("me", "me")])
def test_links_that_no_row_names_do_no_harm(tmp_path: Path, at: str, target: str) -> None:
    (write_folder(tmp_path, ROWS) / at).symlink_to(target)
    assert audiofolder.check(tmp_path, "el", DATA).warnings == ()
