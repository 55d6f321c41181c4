"""The lines that load a model load it, and say where it is."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from jobrunner.core.models import family_of
from jobrunner.reports.usage import python, usage
from tests import builders
from tests.harness.paths import MICRO
from tests.harness.results import RUN


def test_the_lines_load_an_export_and_transcribe(tmp_path: Path) -> None:
    folder = tmp_path / 'a "run"' / "export"
    spec = builders.spec(model=str(MICRO))
    model = family_of(MICRO).load(MICRO, spec, torch.device("cpu"), torch.float32, language="el")
    model.export(folder)
    first, second, third = python(str(folder), lang="el", model=str(MICRO)).splitlines()
    # Samples in place of the file's name, because decoding a file takes ffmpeg.
    lines = "\n".join([first, second, third.replace('"speech.wav"', "samples")])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(lines, {"samples": np.zeros(16_000, dtype=np.float32)})
    assert printed.getvalue().endswith("\n")
    assert '"language": "el"' in third


def test_a_model_in_a_folder_is_used_where_it_is(tmp_path: Path) -> None:
    found = usage(str(tmp_path), RUN, lang="el", model="whisper-tiny")
    assert found.place == f"{tmp_path}/runs/{RUN}/export"
    assert found.command == ""
    assert f'model="{found.place}"' in found.python
    assert str(found).startswith(f"The model is in {found.place}\n")
    assert str(found).count("\n") == 4


def test_a_model_in_a_bucket_is_fetched_first() -> None:
    found = usage("s3://speech/runs/", RUN, lang="sw")
    assert found.place == f"s3://speech/runs/runs/{RUN}/export"
    assert found.command == f"jobrunner export {RUN} ./{RUN}"
    assert f'model="./{RUN}"' in found.python
    shown = str(found)
    assert shown.index(found.command) < shown.index("from transformers import pipeline")


def test_a_model_that_takes_no_language_is_given_none() -> None:
    assert "language" not in python("there", lang="en", model="whisper-tiny.en")
    assert "language" not in python("there", lang="ga", model="someone/whisper-ga")
    assert '"language": "jw"' in python("there", lang="jv", model="whisper-tiny")


def test_the_text_needs_nothing_that_a_client_lacks() -> None:
    code = "import sys, jobrunner.reports.usage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
