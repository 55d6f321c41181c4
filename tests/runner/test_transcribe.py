"""Which model and language transcribe a file, and what is refused before a model is loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from jobrunner.errors import JobrunnerError, UnknownRun, UsageError
from jobrunner.runner import transcribe as transcripts
from jobrunner.runner.api import Runner
from tests.harness.paths import EXAMPLES, MICRO

SOUND = next((EXAMPLES / "speech" / "el" / "test").glob("*.mp3"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "whisper"}')
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("generation", "language"),
    [
        ({"language": "el"}, "el"),
        ({"language": "<|el|>"}, "el"),
        ({"language": "jw"}, "jv"),
        ({"is_multilingual": False}, "en"),
    ],
)
def test_a_model_says_its_language(
    model: Path, generation: dict[str, object], language: str
) -> None:
    (model / "generation_config.json").write_text(json.dumps(generation))
    assert transcripts._language_of(model) == language


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"language": "klingon"}'])
def test_a_model_that_does_not_say_it_needs_the_language(
    model: Path, runner: Runner, content: str | None
) -> None:
    if content is not None:
        (model / "generation_config.json").write_text(content)
    with pytest.raises(UsageError, match=r"does not say its language\. Give it, such as --lang el"):
        transcripts.transcribe(runner, model, [SOUND])


def test_what_is_neither_a_model_nor_a_run_is_refused(
    tmp_path: Path, runner: Runner, model: Path
) -> None:
    cases: list[tuple[Path | str, type[UsageError], str]] = [
        (tmp_path, UsageError, r"config\.json: no such file or directory\. It must be a Whisper"),
        ("./missing", UsageError, r"^\./missing is neither a folder nor a run id\."),
        ("el-whisper-tiny-00000000", UnknownRun, "There is no run"),
    ]
    for wrong, kind, message in cases:
        with pytest.raises(kind, match=message):
            transcripts.transcribe(runner, wrong, [SOUND])
    with pytest.raises(UsageError, match="no language is called 'klingon'"):
        transcripts.transcribe(runner, model, [SOUND], language="klingon")


def test_what_is_not_a_file_is_refused(tmp_path: Path, runner: Runner) -> None:
    for path, problem in ((tmp_path / "a.wav", "no such file"), (tmp_path, "is not a file")):
        with pytest.raises(UsageError, match=rf"{path}: {problem}\. Give the path of an audio"):
            transcripts.transcribe(runner, MICRO, [SOUND, path], language="el")


def test_a_process_that_dies_is_an_error_with_its_last_words(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; sys.stdin.read(); sys.exit('out of memory')"
    monkeypatch.setattr(transcripts, "_COMMAND", (sys.executable, "-S", "-c", program))
    with pytest.raises(JobrunnerError, match=r"ended with exit code 1: out of memory\."):
        list(transcripts.transcribe(runner, MICRO, [SOUND], language="el"))
    # It may die before it has read the request.
    monkeypatch.setattr(
        transcripts, "_COMMAND", (sys.executable, "-S", "-c", "raise SystemExit(3)")
    )
    with pytest.raises(JobrunnerError, match=r"ended with exit code 3: nothing was printed\."):
        list(transcripts.transcribe(runner, MICRO, [SOUND], language="el"))
