"""A storage, and attempts at it by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobrunner.storage.local import LocalStorage
from tests.harness.fragile import SavingAttempt


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def attempt(storage: LocalStorage, tmp_path: Path) -> Callable[..., SavingAttempt]:
    def make(name: str, inner: Any = None) -> SavingAttempt:
        scratch = tmp_path / f"scratch-{name}"
        scratch.mkdir(exist_ok=True)
        return SavingAttempt(inner or storage, scratch, name)

    return make
