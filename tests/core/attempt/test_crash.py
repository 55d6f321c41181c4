"""An unexpected error that comes again at the same place ends the stage for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.core.attempt import crash
from jobrunner.errors import NotFound, StorageError
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.builders import LoggedContext


def attempt(root: Path, step: int = 0) -> LoggedContext:
    """One attempt at training that has come to a step."""
    spec = builders.spec(storage=str(root / "storage"))
    context = builders.stage_context(spec, root / "scratch")
    context.progress.update(step=step)
    return context


def error(text: str, *, elsewhere: bool = False) -> Exception:
    """An error as it is caught."""
    try:
        if elsewhere:
            raise RuntimeError(text)
        raise RuntimeError(text)
    except RuntimeError as caught:
        return caught


def test_the_second_of_two_equal_errors_counts_as_a_repeat(tmp_path: Path) -> None:
    assert not crash.repeats(attempt(tmp_path, 3), "train", error("no such layer"))
    assert crash.repeats(attempt(tmp_path, 3), "train", error("no such layer"))


@pytest.mark.parametrize(
    ("step", "stage", "second"),
    [
        (4, "train", error("no such layer")),
        (3, "evaluate-el", error("no such layer")),
        (3, "train", error("another")),
        (3, "train", error("no such layer", elsewhere=True)),
    ],
)
def test_another_step_stage_text_or_place_is_another_error(
    tmp_path: Path, step: int, stage: str, second: Exception
) -> None:
    assert not crash.repeats(attempt(tmp_path, 3), "train", error("no such layer"))
    assert not crash.repeats(attempt(tmp_path, step), stage, second)


def test_an_attempt_is_not_compared_with_itself(tmp_path: Path) -> None:
    context = attempt(tmp_path)
    assert not crash.repeats(context, "train", error("x"))
    assert not crash.repeats(context, "train", error("x"))


@pytest.mark.parametrize("noted", [b"{", b"[]", b"3"])
def test_a_damaged_note_is_written_anew(tmp_path: Path, noted: bytes) -> None:
    context = attempt(tmp_path)
    context.storage.write(keys.crash_file(context.run, "train"), noted)
    assert not crash.repeats(context, "train", error("x"))
    assert crash.repeats(attempt(tmp_path), "train", error("x"))


def test_a_storage_that_is_away_decides_nothing(tmp_path: Path) -> None:
    class Away(LocalStorage):
        def read(self, key: str) -> bytes:
            raise StorageError("It does not answer.")

    class Full(LocalStorage):
        def read(self, key: str) -> bytes:
            raise NotFound("It is not there.")

        def write(self, key: str, data: bytes) -> None:
            raise StorageError("No room left.")

    spec = builders.spec(storage=str(tmp_path))
    for storage in (Away(tmp_path), Full(tmp_path)):
        context = builders.stage_context(spec, tmp_path / "scratch", storage=storage)
        assert not crash.repeats(context, "train", error("x"))
