"""`transcribe`: texts of audio files on stdout or in files, in three forms."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobrunner.spec import keys
from jobrunner.storage import folders, open_storage
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.paths import EXAMPLES, MICRO

CLIPS = sorted((EXAMPLES / "speech" / "el" / "test").glob("*.mp3"))[:2]


@pytest.fixture
def talk(here: Path) -> Path:
    """Two clips with a pause between them, 5 s: two windows of the very small model."""
    (first, rate), (second, _) = (soundfile.read(clip) for clip in CLIPS)
    soundfile.write(here / "talk.flac", np.concatenate([first, np.zeros(rate), second]), rate)
    return Path("talk.flac")


def test_a_runs_model_transcribes_a_file_in_every_form(
    jobrunner: Jobrunner,
    harness: CliHarness,
    here: Path,
    talk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    storage = open_storage(str(harness.storage))
    folders.publish(storage, keys.export_prefix(run), MICRO)
    for kind in ("text", "srt", "json"):
        arguments = ("--model", run[:8], "--device", "cpu", "-o", kind, "--output-dir", "texts")
        more: tuple[str, ...] = ()
        if kind == "json":  # as on another machine, which knows the storage alone
            monkeypatch.setenv("JOBRUNNER_STATE", str(here.parent / "another"))
            assert "There is no run" in jobrunner("transcribe", *arguments, str(talk)).err
            more = ("--storage", str(harness.storage))
        answer = jobrunner("transcribe", *arguments, *more, str(talk))
        assert answer.code == 0, answer.err
        ending = "txt" if kind == "text" else kind
        assert answer.out == f"texts/talk.{ending}\n"
    text, subtitles, data = (
        (here / "texts" / f"talk.{ending}").read_text() for ending in ("txt", "srt", "json")
    )
    assert sorted(path.name for path in (here / "texts").iterdir()) == [
        *("talk.json", "talk.srt", "talk.txt"),
    ]
    [file] = json.loads(data)["files"]
    segments = file["segments"]
    assert len(segments) >= 2
    assert text.splitlines() == [segment["text"] for segment in segments]
    assert file["text"] == " ".join(text.splitlines())
    head, times, words, *_ = subtitles.splitlines()
    assert (head, words) == ("1", segments[0]["text"])
    assert re.fullmatch(r"00:00:0\d,\d{3} --> 00:00:0\d,\d{3}", times)
    assert segments[-1]["end"] == pytest.approx(soundfile.info(talk).duration, abs=1.0)


def test_text_of_several_files_names_them_and_silence_is_said(
    jobrunner: Jobrunner, here: Path
) -> None:
    soundfile.write(here / "silence.wav", np.zeros(16_000), 16_000)
    model = ("--model", str(MICRO), "--lang", "el", "--device", "cpu")
    answer = jobrunner("transcribe", *model, str(CLIPS[0]), "silence.wav")
    assert answer.code == 0, answer.err
    assert all(line.startswith(f"{CLIPS[0]}: ") for line in answer.out.splitlines())
    assert answer.out
    assert answer.err == "warning: silence.wav: there is only silence in it.\n"
    (here / "notes.txt").write_text("words")
    wrong = jobrunner("transcribe", *model, "notes.txt")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == (
        "error: notes.txt cannot be read as audio: format not recognised. "
        "`ffmpeg -i notes.txt -ar 16000 notes-16000.wav` makes a file that can.\n"
    )


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a.wav", "missing option '--model'."),
        ("--model m", "missing argument 'FILE...'."),
        ("--model m missing.wav", "missing.wav: no such file. Give the path of an audio file."),
        ("--model m .", ".: is not a file."),
        ("--model m a.wav a.wav", "A file is given twice."),
        ("--model m -o srt a.wav b.wav", "-o srt: subtitles of several files do not fit on"),
        ("--model m --output-dir o a.wav x/a.mp3", "--output-dir: two files differ only in their"),
        ("--model m --longest 31 a.wav", "invalid value for '--longest'"),
        ("--model m --device tpu a.wav", "invalid value for '--device'"),
        ("--model= a.wav", "The empty text is neither a folder nor a run id."),
        ("--model m --output-dir a.wav/x a.wav", "--output-dir: a.wav/x: not a directory."),
        ("--model ./m a.wav", "./m is neither a folder nor a run id."),
        ("--model el-whisper-tiny-00000000 a.wav", "There is no run el-whisper-tiny-00000000"),
        ("--model @latest a.wav", "There are no runs yet."),
    ],
)
def test_wrong_input_is_one_line_before_anything_is_loaded(
    jobrunner: Jobrunner, here: Path, typed: str, expected: str
) -> None:
    (here / "a.wav").touch()
    answer = jobrunner("transcribe", *typed.split())
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error: {expected}")
    assert answer.err.count("\n") == 1


def test_a_client_without_torch_says_what_to_install(
    jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return "1"

    (here / "a.wav").touch()
    monkeypatch.setattr(metadata, "version", version)
    answer = jobrunner("transcribe", "--model", str(MICRO), "a.wav")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: This machine lacks packages that transcribing needs: torch. "
        "pip install 'jobrunner[core]'\n"
    )
