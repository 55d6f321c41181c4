"""`transcribe` typed as its hints say. A model is loaded twice in all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from jobrunner.core import recognise, recordings
from jobrunner.errors import DeviceError, UsageError
from tests.harness.commandline import Answer, Jobrunner, jobrunner
from tests.harness.here import here
from tests.harness.hints import assert_hint, hinted
from tests.harness.paths import MICRO
from tests.hints.case import CLIP

__all__ = ["here", "jobrunner"]

GREEK = ("--lang", "el", "--device", "cpu")
FORM = "It must be a Whisper in Hugging Face form: config.json, *.safetensors, tokenizer."


@pytest.fixture
def transcribe(jobrunner: Jobrunner, here: Path) -> Jobrunner:
    """Runs `jobrunner transcribe` with the very small model."""
    for name in ("a.mp3", "b.mp3", "a.bak"):
        shutil.copy(CLIP, here / name)

    def call(*arguments: str) -> Answer:
        return jobrunner("transcribe", "--model", "./model", *arguments)

    return call


def test_a_model_and_files_named_as_the_hints_say_give_subtitles(
    transcribe: Jobrunner, here: Path
) -> None:
    (here / "model").mkdir()
    assert_hint(FORM, transcribe("a.mp3").err)
    (here / "model").rmdir()
    shutil.copytree(MICRO, here / "model")
    assert_hint("Give it, such as --lang el.", transcribe("a.mp3").err)
    assert_hint("Give the path of an audio file.", transcribe(*GREEK, "no.wav").err)
    assert_hint("Give each one once.", transcribe(*GREEK, "a.mp3", "a.mp3").err)
    two = (*GREEK, "-o", "srt", "a.mp3", "b.mp3")
    assert_hint("Give --output-dir.", transcribe(*two).err)
    done = transcribe(*two, "--output-dir", "texts")
    assert (done.code, done.out) == (0, "texts/a.srt\ntexts/b.srt\n"), done.err


def test_two_files_of_one_name_and_a_device_that_is_not_there(
    transcribe: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(MICRO, here / "model")
    alike = ("a.mp3", "a.bak", "--output-dir", "texts")
    assert_hint("Transcribe them into two folders.", transcribe(*GREEK, *alike).err)

    def version(package: str) -> str:
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return "1"

    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", version)
        assert_hint("pip install 'jobrunner[core]'", transcribe(*GREEK, "a.mp3").err)
    without = ("--lang", "el", "--output-dir", "others", "a.bak")
    done = transcribe(*without)
    assert (done.code, done.out) == (0, "others/a.txt\n"), done.err


def _asked(path: Path, device: str) -> dict[str, Any]:
    given = {"model": str(MICRO), "language": "el", "device": device, "longest": None}
    return {**given, "files": [str(path)]}


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_one_leaves_the_device_out_or_names_the_cpu(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with hinted("Leave --device out, or give --device cpu.", DeviceError):
        list(recognise.transcribe(_asked(CLIP, "cuda")))
    assert list(recognise.transcribe(_asked(CLIP, device)))


FFMPEG = """#!{python}
import sys
import soundfile, soxr
_, option, given, rate_option, rate, made = sys.argv
assert (option, rate_option) == ("-i", "-ar") and made != given
sound, old = soundfile.read(given)
soundfile.write(made, soxr.resample(sound, old, int(rate)), int(rate))
"""


def test_a_recording_at_an_odd_rate_is_read_after_the_command_of_its_hint(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program stands in for ffmpeg, which need not be on this machine."""
    sound, _ = soundfile.read(CLIP)
    soundfile.write("odd.wav", sound, 1_000_000)
    with pytest.raises(UsageError) as caught:
        recordings.check(Path("odd.wav"))
    assert_hint("`ffmpeg -i {} -ar 16000 {}-16000.wav` makes a file that can.", caught.value.hint)
    Path("ffmpeg").write_text(FFMPEG.format(python=sys.executable))
    Path("ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    subprocess.run(caught.value.hint.split("`")[1], shell=True, check=True)
    recordings.check(Path("odd-16000.wav"))


def test_a_recording_without_samples_is_copied_again(here: Path) -> None:
    soundfile.write("a.wav", np.zeros(0), 16_000)
    with hinted("Copy it again.", UsageError):
        recordings.check(Path("a.wav"))
    shutil.copy(CLIP, "a.wav")
    recordings.check(Path("a.wav"))
