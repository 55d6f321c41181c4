"""The process that transcribes files: its requests, answers and errors."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from jobrunner.core import recognise
from jobrunner.core.models import family_of
from jobrunner.spec import RunSpec
from tests.harness.stored import export_of


def _request(spec: RunSpec, *files: Path, **changes: Any) -> dict[str, Any]:
    return {
        "model": str(export_of(spec)),
        "language": "el",
        "device": "cpu",
        "longest": None,
        "files": [str(path) for path in files],
        **changes,
    }


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    """A file of 5 s with a pause, longer than the window of 2 s, and one of 1 s."""
    random = np.random.default_rng(1)
    long = random.uniform(-0.2, 0.2, 80_000)
    long[30_000:34_000] = 0
    soundfile.write(tmp_path / "long.wav", long, 16_000)
    soundfile.write(tmp_path / "short.ogg", long[:44_100], 44_100)
    return [tmp_path / "long.wav", tmp_path / "short.ogg"]


def _answers(
    request: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    code = recognise.entry()
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_piece_of_each_file_is_one_line_in_order(
    finished: RunSpec,
    sounds: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = _answers(_request(finished, *sounds), monkeypatch, capsys)
    assert code == 0
    assert [line["file"] for line in lines] == [0, 0, 0, 1]
    assert all(line["end"] - line["start"] <= 2.0 for line in lines)
    assert [line["start"] for line in lines[:3]] == sorted(line["start"] for line in lines[:3])
    assert all(isinstance(line["text"], str) for line in lines)
    code, shorter = _answers(_request(finished, *sounds, longest=1.0), monkeypatch, capsys)
    assert len(shorter) > len(lines)


def test_a_short_file_has_the_text_that_an_evaluation_would_find(
    finished: RunSpec, sounds: list[Path]
) -> None:
    samples, _ = soundfile.read(sounds[0], dtype="float32")
    soundfile.write(sounds[0], samples[:28_000], 16_000)
    model = family_of(export_of(finished)).load(
        export_of(finished), finished, "cpu", torch.float32, language="el"
    )
    [expected] = model.decode(model.recipe.listen([samples[:28_000]]))
    [line] = recognise.transcribe(_request(finished, sounds[0]))
    assert expected.text
    assert line["text"] == expected.text


def test_a_language_that_the_corpus_lacks_is_no_obstacle(
    finished: RunSpec, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(finished, sounds[1], language="la")
    with pytest.raises(Exception, match="no token for Latin"):
        list(recognise.transcribe(request))


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"device": "cuda"}, 67, "No GPU is visible."),
        ({"language": "sw"}, 2, "The model has no token for Swahili (sw)."),
        ({"model": "/nowhere"}, 65, "/nowhere/config.json: No such file or directory."),
    ],
)
def test_an_error_is_the_last_line_and_the_exit_code(
    finished: RunSpec,
    sounds: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    code: int,
    message: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = _answers(_request(finished, sounds[1], **changes), monkeypatch, capsys)
    assert answer[0] == code
    assert [(line["error"], line["code"]) for line in answer[1]] == [(message, code)]


def test_every_file_is_looked_at_before_the_model_is_loaded(
    finished: RunSpec,
    sounds: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "notes.txt").write_text("words")
    request = _request(finished, sounds[1], tmp_path / "notes.txt", model="/nowhere")
    code, [line] = _answers(request, monkeypatch, capsys)
    assert code == 2
    assert line["error"].endswith("notes.txt cannot be read as audio: format not recognised.")
