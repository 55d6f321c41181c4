"""Audio files and splits that are refused, brought or named as their hints say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from jobrunner.corpora import fingerprint
from tests.harness.audiofolders import HEADER, ROWS, audio_bytes, write_folder
from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.hints.case import SUBMIT, Case, bring_clips, clips, follow, rows, table

__all__ = ["here", "jobrunner"]

CSV = Path("speech/metadata.csv")
POINTER = b"version https://git-lfs.github.com/spec/v1\n"


def _bad(content: bytes, *, hint: str) -> Case:
    return Case(mistake=clips(content), hint=hint, repair=bring_clips)


def _lose_clips() -> None:
    for row in ROWS[:3]:
        Path("speech", row[0]).unlink()


def _splits(*names: str) -> Callable[[], object]:
    """Writes the rows with these splits, one after the other."""
    named = [(*row[:3], split) for row, split in zip(ROWS, names, strict=True)]
    lines = "".join(f"{','.join(row)}\n" for row in [HEADER, *named])
    return table(lines)


def _set(**fields: str) -> tuple[str, ...]:
    pairs = [("--set", f"data.{name}={value}") for name, value in fields.items()]
    return (*SUBMIT, *(word for pair in pairs for word in pair))


MANY = [(f"train/{at:02}.mp3", f"Λέξη {at}.", f"s{at}", "train") for at in range(48)]
MANY += [ROWS[2], ROWS[3]]


def _few_of_each() -> None:
    """Each fault alone would be a warning: 4 % are missing, 4 % are texts."""
    write_folder(Path("speech"), MANY)
    for row in MANY[:2]:
        Path("speech", row[0]).unlink()
    for row in MANY[2:4]:
        Path("speech", row[0]).write_bytes(b"a plain text")


def _bring(some: Sequence[Sequence[str]]) -> None:
    for row in some:
        Path("speech", row[0]).write_bytes(audio_bytes(row[0]))


CASES = {
    "clips that are missing": Case(
        mistake=_lose_clips,
        hint="File names are relative to the folder of the table.",
        repair=bring_clips,
    ),
    "a file name outside": Case(
        mistake=table(rows().replace("train/a.mp3", "/speech/train/a.mp3")),
        hint="File names are relative to the folder of the table.",
        repair=table(rows()),
    ),
    "clips of another name": Case(
        mistake=table(rows().replace("/", "/ ")),
        hint="There is {}.",
        repair=table(rows()),
    ),
    "clips that are pointers": _bad(POINTER, hint="Run `git lfs pull` in that folder."),
    "pages": _bad(b"<html>Log in</html>", hint="Download the files themselves."),
    "zip": _bad(b"PK\x03\x04" + bytes(60), hint="Unpack them."),
    "gzip": _bad(b"\x1f\x8b\x08" + bytes(60), hint="Unpack them."),
    "empty": _bad(b"", hint="Copy them again."),
    "cut": _bad(b"OggS\0\0", hint="Copy them again."),
    "texts": _bad(b"there was no audio", hint="Formats: WAV, FLAC, MP3, Ogg Vorbis, Opus."),
    "a format that is not read": _bad(
        b"#!AMR\n" + bytes(60), hint="Convert them, such as with `ffmpeg -i IN OUT.flac`."
    ),
    "some missing and some no audio": Case(
        mistake=_few_of_each,
        hint="Bring them, or take them out.",
        repair=lambda: _bring(MANY[:4]),
    ),
    "some missing and some no audio, taken out": Case(
        mistake=_few_of_each,
        hint="Bring them, or take them out.",
        repair=lambda: write_folder(Path("speech"), MANY[4:]),
    ),
    "a clip in train and test": Case(
        mistake=table(rows().replace("test/d.mp3", "train/a.mp3")),
        hint="Take them out of one of the two.",
        repair=table(rows()),
    ),
    "a split that is not there": Case(
        wrong=_set(test_split="probe"),
        hint="Those that exist: dev, test, train.",
        right=_set(test_split="test"),
    ),
    "no split to train on": Case(
        mistake=_splits("alpha", "alpha", "dev", "test"),
        hint="Those that exist: alpha, dev, test. "
        "Name the one to train on with --set data.train_split=NAME.",
        right=_set(train_split="alpha"),
    ),
    "all splits have another role": Case(
        mistake=_splits("train", "train", "train", "test"),
        wrong=_set(validation_split="train"),
        hint="Those that exist: test, train.",
        right=SUBMIT,
    ),
    "a split of two roles": Case(
        wrong=_set(test_split="dev", validation_split="dev"),
        hint="Give each role a split of its own.",
        right=_set(test_split="test", validation_split="dev"),
    ),
    "nothing is held out": Case(
        mistake=_splits("train", "train", "mine", "test"),
        wrong=_set(holdout="0"),
        hint="Add more, or name a split with --set data.validation_split=NAME.",
        right=_set(holdout="0", validation_split="mine"),
    ),
    "too few to hold out": Case(
        mistake=_splits("train", "other", "other", "test"),
        hint="Add more, or name a split with --set data.validation_split=NAME.",
        repair=lambda: write_folder(Path("speech"), MANY),
    ),
    "a folder that has changed": Case(
        wrong=_set(revision="0" * 16),
        hint="Bring the old files back, or leave the revision out to start another run.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_audio_brought_as_the_hint_says_is_taken(
    name: str, jobrunner: Jobrunner, here: Path
) -> None:
    follow(CASES[name], jobrunner, here)


def test_the_old_files_have_the_revision_of_before(jobrunner: Jobrunner, here: Path) -> None:
    write_folder(here / "speech")
    before = fingerprint.of_speech(here / "speech")
    hint = "Bring the old files back, or leave the revision out to start another run."
    asked = _set(revision=before)
    old = CSV.read_bytes()
    follow(
        Case(
            mistake=table(rows().replace("Ένα", "Μία")),
            wrong=asked,
            hint=hint,
            repair=lambda: CSV.write_bytes(old),
            right=asked,
        ),
        jobrunner,
        here,
    )
