"""Packages that are missing; once they are installed, the command works."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

import jobrunner as sdk
from jobrunner.errors import UsageError
from jobrunner.runner.tables import RunList
from jobrunner.storage import open_storage
from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.harness.hints import assert_hint, hinted
from tests.harness.results import pair, store
from tests.hints.case import Case, follow

__all__ = ["here", "jobrunner"]


def test_a_local_run_with_the_packages_of_the_core(
    jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(package: str) -> str:
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return real(package)

    case = Case(
        mistake=lambda: monkeypatch.setattr(metadata, "version", version),
        hint="pip install 'jobrunner[core]'",
        repair=lambda: monkeypatch.setattr(metadata, "version", real),
    )
    follow(case, jobrunner, here)


def test_examples_with_pyarrow(
    jobrunner: Jobrunner, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = [f"λέξη {number}" for number in range(40)]
    _, found = pair(references, ["λάθος"] * 40, references)
    store(open_storage(str(here / "there")), found, references, references)
    typed = ("report", "--storage", "there", "--examples", "1")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        patch.setitem(sys.modules, "pyarrow.parquet", None)
        answer = jobrunner(*typed)
        assert answer.code == 2
        assert_hint("pip install 'jobrunner[core]'", answer.err)
    assert jobrunner(*typed).code == 0


def test_a_data_frame_with_pandas(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with hinted("pip install pandas", UsageError):
            RunList().to_pandas()
    assert sdk.runs().to_pandas().empty
