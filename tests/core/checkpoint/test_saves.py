"""When a checkpoint is due; and runs on nodes that live ten minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobrunner.core import train
from jobrunner.core.checkpoint.saver import Saver
from jobrunner.core.checkpoint.saves import Saves
from jobrunner.core.training import trainer as trainers
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import RunSpec, TrainSpec
from tests.builders import run_id, stage_context
from tests.harness.fragile import FragileStorage, KilledError
from tests.harness.stored import committed, export_of, history_of, storage_of
from tests.harness.tiny import make_run

MINUTE = 60.0


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def due_minutes(saves: Saves, clock: Clock, minutes: int, busy: Callable[[int], bool]) -> list[int]:
    """The minutes at which a save is due, of a training with one step a minute."""
    found = []
    for minute in range(1, minutes + 1):
        clock.now = minute * MINUTE
        if saves.due(minute, needed=False, busy=busy(minute)):
            saves.saved(minute)
            found.append(minute)
    return found


def test_saves_by_time_come_soon_after_the_start_and_then_at_the_interval() -> None:
    clock = Clock()
    saves = Saves(TrainSpec(save_every=1000, validate_every=1000, save_minutes=16.0), clock)
    assert due_minutes(saves, clock, 63, lambda minute: False) == [2, 6, 14, 30, 46, 62]


def test_without_minutes_saves_come_by_steps_alone() -> None:
    clock = Clock()
    saves = Saves(TrainSpec(save_every=25, validate_every=25, save_minutes=0.0), clock)
    assert due_minutes(saves, clock, 60, lambda minute: False) == [25, 50]


def test_a_save_that_is_due_during_an_upload_comes_after_it() -> None:
    clock = Clock()
    saves = Saves(TrainSpec(save_every=10, validate_every=10, save_minutes=0.0), clock)
    assert due_minutes(saves, clock, 30, lambda minute: 9 <= minute <= 13) == [14, 20, 30]


def test_a_step_that_was_validated_is_saved_even_during_an_upload_but_once() -> None:
    saves = Saves(TrainSpec(save_every=10, validate_every=10))
    assert saves.due(10, needed=True, busy=True)
    saves.saved(10)
    assert not saves.due(10, needed=True, busy=False)


def test_after_a_restore_the_time_counts_from_there() -> None:
    clock = Clock()
    saves = Saves(TrainSpec(save_minutes=8.0), clock)
    clock.now = 5 * MINUTE
    saves.resume(7)
    assert not saves.due(7, needed=True, busy=False)
    assert not saves.due(8, needed=False, busy=False)
    clock.now = 6 * MINUTE
    assert saves.due(8, needed=False, busy=False)


class Node:
    """A node that vanishes without notice after ten minutes of simulated time.

    A step takes 20 s. An upload of weights ends when its time has passed; the training thread
    waits for that, so nothing depends on the speed of this machine.
    """

    def __init__(self, spec: RunSpec, upload_seconds: float) -> None:
        self.clock = Clock()
        self._upload_seconds = upload_seconds
        self._done_at = 0.0
        self.storage = UplinkStorage(storage_of(spec))

    def begin_upload(self) -> None:
        self._done_at = self.clock.now + self._upload_seconds

    def pass_time(self, saver: Saver, seconds: float) -> None:
        """Moves the clock; ends the upload, or the node, at its time."""
        self.clock.now += seconds
        if self.clock.now >= 10 * MINUTE:
            self.storage.cut()
            saver.wait()
            raise KilledError
        if saver.busy and self.clock.now >= self._done_at:
            self.storage.let_through()
            saver.wait()


class UplinkStorage(FragileStorage):
    """Files of checkpoints are uploaded when the node says so; a cut upload ends its thread."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._gate = threading.Semaphore(0)
        self._is_cut = False

    def write_file(self, key: str, path: Path) -> None:
        if "/checkpoints/" in key and key.endswith("model.safetensors"):
            assert self._gate.acquire(timeout=60)
            if self._is_cut:
                raise KilledError
        super().write_file(key, path)

    def let_through(self) -> None:
        self._gate.release()

    def cut(self) -> None:
        self._is_cut = True
        self._gate.release()


def attempt(spec: RunSpec, scratch: Path, node: Node) -> bool:
    """One attempt on a node; True if it ended before the node did."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers, "Saves", partial(Saves, clock=node.clock))
        advance, save, finish = Trainer._advance, Trainer.save, Trainer.finish

        def advancing(trainer: Trainer, *arguments: Any) -> None:
            advance(trainer, *arguments)
            node.pass_time(trainer.saver, 20.0)

        def saving(trainer: Trainer) -> None:
            while trainer.saver.busy:  # at the end: a save waits for the one before it
                node.pass_time(trainer.saver, 20.0)
            save(trainer)
            node.begin_upload()

        def finishing(trainer: Trainer) -> None:
            while trainer.saver.busy:
                node.pass_time(trainer.saver, 20.0)
            finish(trainer)

        patch.setattr(Trainer, "_advance", advancing)
        patch.setattr(Trainer, "save", saving)
        patch.setattr(Trainer, "finish", finishing)
        try:
            train.run(stage_context(spec, scratch, storage=node.storage))
        except KilledError:
            return False
    return True


@pytest.mark.parametrize("upload_minutes", [0.5, 8.0])
def test_a_run_on_nodes_that_live_ten_minutes_makes_progress_and_ends_as_any_other(
    tmp_path: Path, upload_minutes: float
) -> None:
    # The only checkpoints by steps would come after 1000 of them.
    changes: dict[str, Any] = {
        "train__steps": 32,
        "train__save_every": 1000,
        "train__validate_every": 1000,
        "train__batch_seconds": 2.0,
    }
    spec = make_run(tmp_path, **changes)
    reached = [0]
    while not attempt(spec, tmp_path / "scratch", Node(spec, upload_minutes * MINUTE)):
        reached.append(max(committed(spec), default=0))
        assert reached[-1] > reached[-2]
    assert len(reached) > 1
    whole = make_run(tmp_path / "whole", **changes)
    train.run(stage_context(whole, tmp_path / "whole" / "scratch"))
    assert history_of(spec) == history_of(whole)
    weights = [export_of(each) / "model.safetensors" for each in (spec, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_interval_does_not_count_for_the_id_of_a_run(tmp_path: Path) -> None:
    assert run_id(make_run(tmp_path, train__save_minutes=1.0)) == run_id(make_run(tmp_path))
