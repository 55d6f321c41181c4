"""A spec for this machine, and a runner whose stages say that they were there.

Training stores an export without files, so that a submit finds it whole.
"""

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

PROGRAM = """
import json, os, sys
from pathlib import Path
print('00:00:00', *sys.argv[1:])
if sys.argv[1] == 'train':
    told = json.loads(Path(os.environ['JOBRUNNER_SPEC']).read_text())
    export = Path(told['spec']['storage'], 'runs', told['run'], 'export')
    export.mkdir(parents=True, exist_ok=True)
    (export / 'manifest.json').write_text('{"files": {}}')
"""
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
