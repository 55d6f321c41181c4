"""Fixtures: a disk that need not be waited for, a storage, and attempts at it by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.storage.local import LocalStorage
from tests.harness.fragile import Attempt


@pytest.fixture(autouse=True, scope="module")
def _without_fsync() -> Iterator[None]:
    """Kills here are exceptions, so the disk's own cache plays no part; most of a save's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def attempt(storage: LocalStorage, tmp_path: Path) -> Callable[..., Attempt]:
    def make(name: str, inner: Any = None) -> Attempt:
        scratch = tmp_path / f"scratch-{name}"
        scratch.mkdir(exist_ok=True)
        return Attempt(inner or storage, scratch, name)

    return make
