"""The contract about room, held against a folder, and what a check says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.runner.space import check
from jobrunner.storage import Storage
from jobrunner.storage.local import LocalStorage
from tests.contract.space import MODEL, RUN, SpaceContract
from tests.harness.full import fill


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return LocalStorage(tmp_path / "storage")


class TestSpace(SpaceContract):
    """A folder tells of its room."""


def test_a_live_run_keeps_what_it_needs(storage: Storage, tmp_path: Path) -> None:
    runs = fill(storage, tmp_path)
    storage.delete(f"{MODEL}weights")
    found = check.check(storage)
    (folder,) = found.damaged
    assert set(found.users[folder.prefix]) == set(runs)
    assert found.busy(folder, [RUN]) == RUN
    assert found.busy(folder, ["el-whisper-small-00000000"]) == ""
