"""The checkpoint protocol: whatever happens to a save, resume finds what was acknowledged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobrunner.errors import CheckpointError, StorageError
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.fragile import (
    RUN,
    FragileStorage,
    KilledError,
    SavingAttempt,
    assert_verified,
    committed,
    key,
)


def save_until_killed(attempt: SavingAttempt, steps: range) -> int:
    """Saves at each step; the last one that was acknowledged."""
    done = 0
    try:
        for step in steps:
            attempt.save(step, best=1)
            done = step
    except KilledError:
        pass
    return done


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_storage_operation_leaves_the_last_acknowledged_checkpoint(
    tmp_path: Path, after: bool
) -> None:
    counting = FragileStorage(LocalStorage(tmp_path / "count"))
    (tmp_path / "scratch").mkdir()
    save_until_killed(SavingAttempt(counting, tmp_path / "scratch", "a"), range(1, 6))
    assert counting.operations > 25
    for at in range(counting.operations):
        storage = LocalStorage(tmp_path / f"{at}")
        fragile = FragileStorage(storage, at=at, after=after)
        done = save_until_killed(SavingAttempt(fragile, tmp_path / "scratch", "a"), range(1, 6))
        heir = SavingAttempt(storage, tmp_path / "scratch", "b")
        found = heir.restore()
        step = found.step if found else 0
        # A kill after COMMIT and before its answer leaves one more than was acknowledged.
        assert step in (done, done + 1)
        if found:
            assert_verified(found, step)
        for later in range(step + 1, 7):
            heir.save(later, best=1)
        assert_verified(heir.restore(), 6)
        assert committed(storage) == [6, 5, 1]
        kept = {entry.key.split("/")[3] for entry in storage.list(keys.checkpoints_prefix(RUN))}
        assert kept == {"step-00000001", "step-00000005", "step-00000006"}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=6))
def test_attempts_killed_again_and_again_never_go_back(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[int, bool]]
) -> None:
    root = tmp_path_factory.mktemp("run")
    storage = LocalStorage(root / "storage")
    done = 0
    for number, (at, after) in enumerate([*plan, (10**6, False)]):
        fragile = FragileStorage(storage, at=at, after=after)
        attempt = SavingAttempt(fragile, root, f"attempt-{number}")
        try:
            found = attempt.restore()
        except KilledError:
            continue
        step = found.step if found else 0
        assert step >= done
        if found:
            assert_verified(found, step)
        done = max(step, save_until_killed(attempt, range(step + 1, 9)))
    assert done == 8


def test_a_part_that_was_changed_is_passed_over(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    first = attempt("a")
    first.save(10)
    first.save(20)
    path = storage.path(key(20, "a/model"))
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    heir = attempt("b")
    found = heir.restore()
    assert_verified(found, 10)
    assert found is not None
    assert found.passed_over == 1
    assert "step 20 cannot be used: model differs from its manifest" in heir.log[0]
    heir.save(20)
    assert_verified(attempt("c").restore(), 20)


@pytest.mark.parametrize("victim", ["a/model", "a/manifest.json", keys.COMMIT])
@pytest.mark.parametrize("harm", ["delete", "truncate", "replace"])
def test_damage_of_any_kind_is_passed_over(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt], victim: str, harm: str
) -> None:
    first = attempt("a")
    first.save(10)
    first.save(20)
    path = storage.path(key(20, victim))
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.write_bytes(b'{"attempt": "a"}')
    assert_verified(attempt("b").restore(), 10)


def test_checkpoints_of_which_none_verifies_are_an_error_of_their_own(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    attempt("a").save(10)
    storage.delete(key(10, "a/model"))
    with pytest.raises(CheckpointError, match="The only checkpoint of") as caught:
        attempt("b").restore()
    assert caught.value.hint == (
        "To start over, submit it with --again 1. Or restore it from a backup and submit the run "
        "as before."
    )


def test_a_storage_that_does_not_answer_is_not_taken_for_damage(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    attempt("a").save(10)
    attempt("a").save(20)
    for at in range(5):
        broken = FragileStorage(storage, at=at, error=lambda: StorageError("no answer"))
        with pytest.raises(StorageError, match="no answer"):
            attempt("b", broken).restore()
    assert committed(storage) == [20, 10]


def test_a_body_cut_short_on_its_way_is_read_again(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    class CuttingStorage(FragileStorage):
        cuts = 1

        def open(self, key: str) -> BinaryIO:
            file = super().open(key)
            if self.cuts:
                self.cuts -= 1
                file.seek(10)
            return file

    attempt("a").save(10)
    heir = attempt("b", CuttingStorage(storage))
    assert_verified(heir.restore(), 10)
    assert heir.log == []


def test_nothing_saved_is_a_run_that_begins(attempt: Callable[..., SavingAttempt]) -> None:
    assert attempt("a").restore() is None


def test_of_two_attempts_at_one_step_the_first_wins_and_the_other_adopts_it(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    attempt("a").save(10)
    attempt("b").save(10)
    assert json.loads(storage.read(key(10, keys.COMMIT)))["attempt"] == "a"
    assert storage.stat(key(10, "b/model")) is None
    assert_verified(attempt("c").restore(), 10)


def test_a_marker_whose_parts_were_cleaned_away_is_replaced(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    attempt("a").save(10)
    storage.delete(key(10, "a/model"))
    attempt("b").save(10)
    assert_verified(attempt("c").restore(), 10)


def test_the_two_newest_and_the_best_are_kept(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    writer = attempt("a")
    for step in (10, 20, 30, 40):
        writer.save(step, best=10)
    assert committed(storage) == [40, 30, 10]


def test_a_damaged_checkpoint_ahead_does_not_cost_the_sound_ones(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
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
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
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
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    deleted: list[str] = []

    class WatchedStorage(FragileStorage):
        def delete(self, key: str) -> None:
            deleted.append(key)
            super().delete(key)

    writer = attempt("a", WatchedStorage(storage))
    for step in (10, 20, 30):
        writer.save(step)
    assert deleted[0] == key(10, keys.COMMIT)
    assert len(deleted) == 4


def test_what_an_attempt_ahead_is_uploading_stays(
    storage: LocalStorage, attempt: Callable[..., SavingAttempt]
) -> None:
    storage.write(key(50, "zombie/model"), b"half")
    storage.write(key(10, "zombie/model"), b"half")
    attempt("a").save(20)
    assert storage.stat(key(50, "zombie/model")) is not None
    assert storage.stat(key(10, "zombie/model")) is None
