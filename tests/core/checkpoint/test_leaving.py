"""The last checkpoint after SIGTERM: tried whenever there is a chance."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from jobrunner.core.checkpoint.leaving import interrupted, save_once_more
from jobrunner.core.checkpoint.saver import Saver
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.builders import LoggedContext, stage_context
from tests.core.checkpoint.test_saver import FILES, GatedStorage, weights
from tests.harness.fragile import RUN, committed

SIZE = 10**12  # bytes: 5.6 hours at the speed that is expected before one was measured


def leaving(tmp_path: Path, grace: float) -> LoggedContext:
    spec = builders.spec(storage=str(tmp_path / "storage"))
    context = stage_context(spec, tmp_path / "scratch", grace_seconds=grace)
    context.stop.requested_at = time.monotonic()
    return context


def saver_in(storage: Any, scratch: Path) -> Saver:
    checkpoints = Checkpoints(storage, RUN, "a", scratch, print)
    return Saver(checkpoints, storage, RUN, scratch, {}, print, retry_seconds=())


@pytest.mark.parametrize(
    ("speed", "grace", "saves"),
    [
        (None, 25.0, True),  # nothing was measured: perhaps the network is fast
        (SIZE / 79.0, 25.0, True),  # four times too slow for the 20 s that are left
        (SIZE / 81.0, 25.0, False),
        (SIZE / 81.0, 120.0, True),
        (None, 5.0, False),
    ],
)
def test_a_save_is_tried_unless_it_is_hopeless(
    storage: LocalStorage, tmp_path: Path, speed: float | None, grace: float, saves: bool
) -> None:
    context, saver = leaving(tmp_path, grace), saver_in(storage, tmp_path)
    saver.speed = speed

    def save() -> None:
        saver.save(3, weights(1.0), FILES, None)

    save_once_more(context, saver, size=SIZE, save=save)
    assert committed(storage) == ([3] if saves else [])
    assert ("too little time is left to save once more" in context.lines) is not saves


def test_the_upload_in_flight_ends_before_the_last_save_begins(
    storage: LocalStorage, tmp_path: Path
) -> None:
    gated = GatedStorage(storage)
    context, saver = leaving(tmp_path, 60.0), saver_in(gated, tmp_path)
    saver.save(2, weights(1.0), FILES, None)
    gated.gate.set()
    found = []

    def save() -> None:
        found.extend(committed(storage))
        saver.save(3, weights(2.0), FILES, None)

    save_once_more(context, saver, size=1, save=save)
    assert found == [2]
    assert committed(storage) == [3, 2]


def test_an_upload_that_does_not_end_leaves_no_save_and_a_line(
    storage: LocalStorage, tmp_path: Path
) -> None:
    gated = GatedStorage(storage)
    context, saver = leaving(tmp_path, 5.2), saver_in(gated, tmp_path)
    saver.save(2, weights(1.0), FILES, None)
    save_once_more(context, saver, size=1, save=None)
    assert context.lines == ["the upload did not end in time"]
    gated.gate.set()
    saver.wait()


def test_the_end_says_how_to_continue() -> None:
    error = interrupted(3, 6)
    assert str(error).startswith("Stopped after step 3 of 6. Submit the run again")
    assert error.exit_code == 143
