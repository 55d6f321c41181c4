"""The wheel, as a stranger installs it: a fresh environment, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.harness.paths import ROOT


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of an environment with the wheel and the client's dependencies as locked."""
    place = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=ROOT)
    (wheel,) = place.glob("jobrunner-*.whl")
    uv = (sys.executable, "-m", "uv")
    _run(*uv, "venv", "-q", "--python", sys.executable, place / "env", cwd=place)
    _run(
        *(*uv, "pip", "install", "-q", "--python", place / "env/bin/python"),
        *("--constraint", ROOT / "requirements.lock", "--no-verify-hashes", wheel),
        cwd=place,
    )
    return place / "env/bin"


def test_the_installed_client_renders_the_chart_that_the_wheel_carries(
    installed: Path, tmp_path: Path
) -> None:
    out = _run(
        *(installed / "jobrunner", "render", "--lang", "no", "--model", "whisper-tiny"),
        *("--storage", "s3://bucket/runs"),
        cwd=tmp_path,
        HOME=str(tmp_path),
    )
    kinds = [document["kind"] for document in yaml.safe_load_all(out)]
    assert kinds[0] == "ConfigMap"
    assert kinds.count("Job") == 3


def test_the_plain_install_is_light_and_says_how_to_get_the_core(
    installed: Path, tmp_path: Path
) -> None:
    found = _run(
        *(installed / "python", "-c"),
        "import importlib.util as u; print([m for m in ('torch', 'pyarrow') if u.find_spec(m)])",
        cwd=tmp_path,
    )
    assert found.strip() == "[]"
    done = subprocess.run(
        [
            *(installed / "jobrunner", "submit", "--lang", "el", "--model", "whisper-tiny"),
            *("--local", "--device", "cpu", "--storage", str(tmp_path / "storage")),
        ],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "jobrunner[core]" in done.stderr
    assert "Traceback" not in done.stderr
