"""The backends that the contract is held against."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.backends.local.backend import LocalBackend
from tests.harness.backend import STAGE, Bench, alive


@pytest.fixture
def local_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The local backend; when a test is over, nothing that it started is left."""
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("STAGE_CONTROL", str(control))
    state = tmp_path / "state"
    backend = LocalBackend(
        state,
        command=(sys.executable, "-S", str(STAGE)),
        grace_seconds=5.0,
        retry_seconds=0.05,
    )
    made = Bench(backend=backend, control=control, storage=tmp_path / "storage", state=state)
    yield made
    for status in backend.list():
        if status.lang:
            backend.cancel(status.run)
    for event in made.events("begins"):
        assert not alive(event.pid), f"left behind: {event}"


@pytest.fixture(params=["local"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each backend in turn."""
    made: Bench = request.getfixturevalue(f"{request.param}_bench")
    return made
