"""The files that pin a folder: links are followed, and what nobody can read is left out."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from jobrunner.corpora import fingerprint, tree
from jobrunner.errors import SpecError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("b/two.wav", "a.wav", "b/c/three.wav", ".hidden", ".git/config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path, _ in tree.files(folder)]


def test_files_come_in_one_order_and_hidden_ones_do_not(folder: Path) -> None:
    assert _names(folder) == ["a.wav", "b/two.wav", "b/c/three.wav"]
    assert [size for _, size in tree.files(folder)] == [5, 9, 13]


def test_a_fingerprint_is_what_it_was(folder: Path) -> None:
    # Runs of earlier versions are pinned by these digits.
    assert fingerprint.of_model(folder) == "8781fd96cbbfffe3"
    assert fingerprint.of_speech(folder) == "8781fd96cbbfffe3"


def test_links_to_files_and_folders_are_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/x.wav").touch()
    (folder / "clips").symlink_to(tmp_path / "clips")
    (folder / "again").symlink_to(folder / "b/c")
    (folder / "one.wav").symlink_to("a.wav")
    found = ["a.wav", "one.wav", "again/three.wav", "b/two.wav", "b/c/three.wav", "clips/x.wav"]
    assert _names(folder) == found


@pytest.mark.parametrize(
    ("at", "target"),
    [
        ("loop", "."),
        ("b/up", ".."),
        ("b/c/self", "self"),
        ("notes.txt", "nowhere"),
        ("b/x", "../b"),
    ],
)
def test_a_link_that_leads_nowhere_new_changes_nothing(folder: Path, at: str, target: str) -> None:
    before = fingerprint.of_speech(folder)
    (folder / at).symlink_to(target)
    assert fingerprint.of_speech(folder) == before


def test_a_loop_through_a_folder_above_ends(folder: Path) -> None:
    (folder / "b/out").symlink_to(folder.parent)
    assert len(_names(folder)) == 3


def test_folders_full_of_links_to_each_other_end(folder: Path) -> None:
    for one in range(10):  # 3.6 million ways lead through all of them
        (folder / f"c{one}").mkdir()
        (folder / f"c{one}/clip.wav").touch()
        for other in range(10):
            (folder / f"c{one}/l{other}").symlink_to(folder / f"c{other}")
    assert 10 < len(_names(folder)) < 1000


def test_pipes_and_sockets_are_left_out_and_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint.of_speech(folder)
    os.mkfifo(folder / "pipe.wav")
    monkeypatch.chdir(folder)  # a socket's path has at most 107 characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.wav")
        assert fingerprint.of_speech(folder) == before


def test_a_name_that_is_not_utf_8_is_pinned_by_its_bytes(folder: Path) -> None:
    before = fingerprint.of_speech(folder)
    (folder / os.fsdecode(b"n\xe4me.wav")).touch()
    assert fingerprint.of_speech(folder) != before


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^data\.revision: .*gone: No such file or directory\.$"):
        fingerprint.pin("data.revision", "", tmp_path / "gone", fingerprint.of_speech)
