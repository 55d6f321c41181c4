"""Signs of life of a rank."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jobrunner.core.attempt.heartbeat import beat, promised


def test_a_sign_of_life_promises_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "beat"
    monkeypatch.setenv("JOBRUNNER_HEARTBEAT", str(file))
    assert promised(file) == float("inf")
    before = time.monotonic()
    beat(60.0)
    assert before + 60.0 <= promised(file) <= time.monotonic() + 60.0
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_written_where_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBRUNNER_HEARTBEAT", raising=False)
    beat(60.0)
    assert list(tmp_path.iterdir()) == []
