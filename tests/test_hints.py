"""A user makes a mistake, does what the hint says, and it works."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.audiofolders import HEADER, ROWS, audio_bytes, write_folder
from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.harness.paths import EXAMPLES, MICRO

__all__ = ["here", "jobrunner"]

CLIP = EXAMPLES / "speech/el/test/el-0000.mp3"
GOOD = ("--local", "--device", "cpu", "--lang", "el", "--model", str(MICRO), "--dry-run")
SPEECH = ("--data", "folder:speech")
PLACE = ("--storage", "storage")
SUBMIT = ("submit", *GOOD, *SPEECH, *PLACE)


def nothing() -> None:
    """There is nothing to prepare, or to do besides typing another command."""


def _without(*options: str) -> tuple[str, ...]:
    """The good command without some options and their values."""
    kept = list(SUBMIT)
    for option in options:
        at = kept.index(option)
        del kept[at : at + (1 if option == "--local" else 2)]
    return tuple(kept)


def _table(text: str, *, encoding: str = "utf-8") -> Callable[[], object]:
    return lambda: Path("speech/metadata.csv").write_text(text, encoding=encoding)


def _lose_clips() -> None:
    for row in ROWS[:3]:
        Path("speech", row[0]).unlink()


def _point_clips() -> None:
    for row in ROWS:
        Path("speech", row[0]).write_text("version https://git-lfs.github.com/spec/v1\n")


def _bring_clips() -> None:
    for row in ROWS:
        Path("speech", row[0]).write_bytes(audio_bytes(row[0]))


def _rows(delimiter: str = ",", head: bool = True) -> str:
    rows = [HEADER, *ROWS] if head else [*ROWS]
    return "".join(f"{delimiter.join(row)}\n" for row in rows)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake, its hint, and what somebody does who believes it."""

    wrong: tuple[str, ...] = SUBMIT
    mistake: Callable[[], object] = nothing
    hint: str
    repair: Callable[[], object] = nothing
    right: tuple[str, ...] = SUBMIT


CASES = {
    "a file as storage": Case(
        mistake=lambda: Path("file").touch(),
        wrong=(*_without("--storage"), "--storage", "file"),
        hint="Name a folder with --storage.",
    ),
    "no folder of data": Case(
        wrong=(*_without("--data"), "--data", "folder:no"),
        hint="Give the path of one that exists.",
    ),
    "no folder of a model": Case(
        wrong=(*_without("--model"), "--model", "./no"),
        hint="Give the path of an existing one.",
    ),
    "more GPUs than there are": Case(
        wrong=_without("--device"),
        hint="Use --device cpu to train on the CPU.",
    ),
    "a folder for pods": Case(
        wrong=_without("--local", "--device"),
        hint="or --local for this machine.",
    ),
    "a bucket for pods": Case(
        wrong=_without("--local", "--device"),
        hint="Give --storage s3://BUCKET/PREFIX for the cluster,",
        right=("submit", "--lang", "el", "--storage", "s3://speech/runs", "--dry-run"),
    ),
    "no language": Case(wrong=_without("--lang"), hint="Give --lang, such as --lang el;"),
    "a misspelt language": Case(
        wrong=(*_without("--lang"), "--lang", "Grek"), hint="Nearest: el (Greek)."
    ),
    "a misspelt setting": Case(
        wrong=(*SUBMIT, "--set", "train.stesp=3"),
        hint="Did you mean train.steps",
        right=(*SUBMIT, "--set", "train.steps=3"),
    ),
    "a table called profile": Case(
        mistake=lambda: Path("jobrunner.toml").write_text("[profile.x]\nseed = 1\n"),
        hint="A profile itself is a table [profiles.NAME].",
        repair=lambda: Path("jobrunner.toml").write_text("[profiles.x]\nseed = 1\n"),
        right=(*SUBMIT, "--profile", "x"),
    ),
    "waiting without waiting": Case(
        wrong=(*SUBMIT, "--timeout", "5"), hint="Add --wait or --follow, or leave it out."
    ),
    "a configuration that is there": Case(
        mistake=lambda: Path("jobrunner.toml").touch(),
        wrong=("init",),
        hint="--force replaces it.",
        right=("init", "--force"),
    ),
    "another separator": Case(
        mistake=_table(_rows(";")), hint="Write it with commas.", repair=_table(_rows())
    ),
    "no names of columns": Case(
        mistake=_table(_rows(head=False)),
        hint="Begin it with names of columns, such as file_name,sentence",
        repair=_table(_rows()),
    ),
    "another encoding": Case(
        mistake=_table(_rows(), encoding="iso8859-7"),
        hint="Save it as UTF-8.",
        repair=_table(_rows()),
    ),
    "a column twice": Case(
        mistake=_table(_rows().replace("client_id", "sentence")),
        hint="Rename or remove the others.",
        repair=_table(_rows()),
    ),
    "clips that are missing": Case(
        mistake=_lose_clips,
        hint="File names are relative to the folder of the table.",
        repair=_bring_clips,
    ),
    "a test without text": Case(
        mistake=_table(_rows().replace("Επτά οκτώ.", "...")),
        hint="Check the transcripts of the test split.",
        repair=_table(_rows()),
    ),
    "clips that are pointers": Case(
        mistake=_point_clips, hint="Run `git lfs pull` in that folder.", repair=_bring_clips
    ),
    "a file given twice": Case(
        mistake=lambda: Path("a.txt").touch(),
        wrong=("transcribe", "--model", str(MICRO), "a.wav", "a.wav"),
        hint="Give each one once.",
        repair=lambda: shutil.copy(CLIP, "a.mp3"),
        right=("transcribe", "--model", str(MICRO), "--lang", "el", "a.mp3"),
    ),
    "subtitles of two files": Case(
        mistake=lambda: [shutil.copy(CLIP, name) for name in ("a.mp3", "b.mp3")],
        wrong=("transcribe", "--model", str(MICRO), "-o", "srt", "a.mp3", "b.mp3"),
        hint="Give --output-dir.",
        right=(
            *("transcribe", "--model", str(MICRO), "-o", "srt", "a.mp3", "b.mp3"),
            *("--lang", "el", "--output-dir", "texts"),
        ),
    ),
    "examples in csv": Case(
        wrong=("report", "--examples", "1", "-o", "csv"),
        hint="Use a table, -o json or --html.",
        right=("report", "--examples", "1", "-o", "json"),
    ),
    "a watch elsewhere": Case(
        wrong=("list", "--watch", "-o", "json"), hint="Leave out -o.", right=("list",)
    ),
    "a run that is not there": Case(
        wrong=("status", "nosuch"), hint="`jobrunner list` shows", right=("list",)
    ),
    "no run at all": Case(
        wrong=("status",),
        hint="`jobrunner submit --help` shows how to start one.",
        right=("submit", "--help"),
    ),
    "a storage that is not there": Case(
        wrong=("storage", "du", "--storage", "no"),
        hint="Name one with --storage;",
        repair=lambda: Path("storage").mkdir(),
        right=("storage", "du", "--storage", "storage"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_does_what_the_hint_says_succeeds(
    name: str, jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    case = CASES[name]
    write_folder(here / "speech")
    case.mistake()
    answer = jobrunner(*case.wrong)
    assert answer.code in {2, 3}, answer
    [line] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert case.hint in line
    case.repair()
    right = jobrunner(*case.right)
    assert right.code == 0, right.err
