"""Every place to run has a backend that can be connected to, and is named where people name it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from jobrunner.backends import open_backend
from jobrunner.catalog.backends import BACKENDS, DEFAULT, LOCAL
from jobrunner.errors import UsageError


@pytest.mark.parametrize("name", BACKENDS)
def test_each_is_named_by_its_key_and_can_be_connected_to(name: str) -> None:
    facts = BACKENDS[name]
    assert facts.name == name
    assert callable(importlib.import_module(facts.module).connect)
    assert facts.where.startswith("on ")


def test_one_of_them_is_this_machine_and_one_is_usual() -> None:
    assert [name for name, facts in BACKENDS.items() if facts.is_here] == [LOCAL]
    assert DEFAULT in BACKENDS


def test_a_backend_is_opened_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBRUNNER_STATE", str(tmp_path))
    assert open_backend(LOCAL).name == LOCAL
    with pytest.raises(UsageError, match=r"no backend 'slurm'. There are local and kubernetes"):
        open_backend("slurm")
