"""A spec for this machine, and a runner whose stages only say that they were there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.runner.api import Runner
from jobrunner.spec import RunSpec
from tests import builders

PROGRAM = "import sys; print('00:00:00', *sys.argv[1:])"
Spec = Callable[..., RunSpec]


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    def make(**changes: Any) -> RunSpec:
        values = {"model": "whisper-tiny", "resources": {"device": "cpu"}, **changes}
        return builders.spec(**{"storage": str(tmp_path / "storage"), **values})

    return make


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    command = (sys.executable, "-S", "-c", PROGRAM)
    return Runner(LocalBackend(tmp_path / "state", command=command, grace_seconds=1.0))
