"""A disk that need not be waited for, and a run that has ended well."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from jobrunner.spec import RunSpec


@pytest.fixture(autouse=True, scope="module")
def _without_fsync() -> Iterator[None]:
    """Kills here are exceptions, so the disk's own cache plays no part; most of a save's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """A run that was trained to its end. Tests only look at it."""
    from jobrunner.core import train
    from tests.builders import stage_context
    from tests.harness.tiny import make_run

    root = tmp_path_factory.mktemp("finished")
    spec = make_run(root)
    train.run(stage_context(spec, root / "scratch"))
    return spec
