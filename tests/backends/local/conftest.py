"""The local backend, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.backends.local.backend import LocalBackend
from tests.harness.local import COMMAND, LocalHarness, alive


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHarness]:
    """When a test is over, nothing that it started is left."""
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("STAGE_CONTROL", str(control))
    state = tmp_path / "state"
    backend = LocalBackend(state, command=COMMAND, grace_seconds=5.0, retry_seconds=0.05)
    made = LocalHarness(backend=backend, control=control, storage=tmp_path / "storage", state=state)
    yield made
    for status in backend.list():
        if status.lang:
            backend.cancel(status.run)
    for event in made.events("begins"):
        assert not alive(event.pid), f"left behind: {event}"
