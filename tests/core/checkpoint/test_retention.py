"""Which checkpoints are kept, and what is deleted in which order."""

from __future__ import annotations

from collections.abc import Callable

from jobrunner.core.checkpoint.store import COMMIT
from jobrunner.errors import StorageError
from jobrunner.storage.local import LocalStorage
from tests.harness.fragile import Attempt, FragileStorage, assert_verified, committed, key


def test_the_two_newest_and_the_best_are_kept(
    storage: LocalStorage, attempt: Callable[..., Attempt]
) -> None:
    writer = attempt("a")
    for step in (10, 20, 30, 40):
        writer.save(step, best=10)
    assert committed(storage) == [40, 30, 10]


def test_a_damaged_checkpoint_ahead_does_not_cost_the_sound_ones(
    storage: LocalStorage, attempt: Callable[..., Attempt]
) -> None:
    first = attempt("a")
    for step in (10, 20):
        first.save(step)
    storage.delete(key(20, "a/model"))
    heir = attempt("b")
    heir.restore()
    heir.save(15)
    storage.delete(key(15, "b/model"))
    assert_verified(attempt("c").restore(), 10)


def test_a_delete_that_fails_never_stops_training(
    storage: LocalStorage, attempt: Callable[..., Attempt]
) -> None:
    class HoardingStorage(FragileStorage):
        def delete(self, key: str) -> None:
            raise StorageError("may not delete")

    writer = attempt("a", HoardingStorage(storage))
    for step in (10, 20, 30):
        writer.save(step)
    assert committed(storage) == [30, 20, 10]
    assert "old checkpoints stay for now: may not delete" in writer.log
    attempt("b").save(40)
    assert committed(storage) == [40, 30]


def test_the_marker_goes_before_the_parts(
    storage: LocalStorage, attempt: Callable[..., Attempt]
) -> None:
    deleted: list[str] = []

    class WatchedStorage(FragileStorage):
        def delete(self, key: str) -> None:
            deleted.append(key)
            super().delete(key)

    writer = attempt("a", WatchedStorage(storage))
    for step in (10, 20, 30):
        writer.save(step)
    assert deleted[0] == key(10, COMMIT)
    assert len(deleted) == 4


def test_what_an_attempt_ahead_is_uploading_stays(
    storage: LocalStorage, attempt: Callable[..., Attempt]
) -> None:
    storage.write(key(50, "zombie/model"), b"half")
    storage.write(key(10, "zombie/model"), b"half")
    attempt("a").save(20)
    assert storage.stat(key(50, "zombie/model")) is not None
    assert storage.stat(key(10, "zombie/model")) is None
