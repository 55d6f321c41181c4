"""Of two attempts that train the same run, the one that began last commits and the other cannot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobrunner.core.checkpoint.claim import Claim
from jobrunner.errors import PERMANENT_EXIT_CODES, Superseded
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.fragile import (
    RUN,
    FragileStorage,
    SavingAttempt,
    assert_verified,
    committed,
    key,
)


class Interrupting(FragileStorage):
    """Does something else just before one of its operations."""

    def __init__(self, inner: LocalStorage, *, at: int, what: Callable[[], None]) -> None:
        super().__init__(inner)
        self._moment, self._what = at, what

    def _do(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        if self.operations == self._moment:
            self._what()
        return super()._do(operation, *arguments)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_a_superseded_attempt_commits_nothing(tmp_path: Path, scratch: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    zombie, heir = SavingAttempt(storage, scratch, "old"), SavingAttempt(storage, scratch, "new")
    assert zombie.restore() is None
    zombie.save(1)
    assert_verified(heir.restore(), 1)

    with pytest.raises(Superseded, match=r"A later attempt at .+ has taken over"):
        zombie.save(2)
    assert committed(storage) == [1]
    heir.save(2)
    with pytest.raises(Superseded):
        zombie.save(3)
    assert committed(storage) == [2, 1]
    assert b'"new"' in storage.read(key(2, keys.COMMIT))


def test_whenever_it_is_superseded_nothing_of_its_successor_is_lost(
    tmp_path: Path, scratch: Path
) -> None:
    counting = FragileStorage(LocalStorage(tmp_path / "count"))
    attempt = SavingAttempt(counting, scratch, "old")
    attempt.restore()
    begun = counting.operations
    attempt.save(1)
    for at in range(begun, counting.operations):
        storage = LocalStorage(tmp_path / f"{at}")
        heir = SavingAttempt(storage, scratch, "new")

        def begin(heir: SavingAttempt = heir) -> None:
            heir.restore()
            heir.save(1)
            heir.save(2)

        zombie = SavingAttempt(Interrupting(storage, at=at, what=begin), scratch, "old")
        zombie.restore()
        with suppress(Superseded):
            zombie.save(1)  # its commit may have been on its way
        with pytest.raises(Superseded):
            zombie.save(2)
        assert committed(storage) == [2, 1]
        assert b'"new"' in storage.read(key(2, keys.COMMIT))
        assert_verified(SavingAttempt(storage, scratch, "reader").restore(), 2)


def test_of_attempts_that_begin_at_once_one_is_the_last(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    first = Claim(storage, RUN, "first")

    def begin() -> None:
        first.take()

    # Between the look for the newest claim and the own one.
    second = Claim(Interrupting(storage, at=1, what=begin), RUN, "second")
    second.take()
    second.check()
    with pytest.raises(Superseded):
        first.check()
    assert [e.key for e in storage.list(keys.claims_prefix(RUN))] == [
        keys.claim_file(RUN, 1),
        keys.claim_file(RUN, 2),
    ]


def test_a_superseded_attempt_is_not_tried_again() -> None:
    # Two clusters that train the same run would take it from each other for ever.
    assert Superseded.exit_code in PERMANENT_EXIT_CODES
