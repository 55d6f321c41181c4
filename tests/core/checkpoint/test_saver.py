"""Saving in the background: exact, one at a time, and its errors reach the training thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from jobrunner.catalog import nodes
from jobrunner.core.checkpoint import saver as savers
from jobrunner.core.checkpoint.saver import Saver
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.errors import StorageError, StorageFull
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.fragile import RUN, FragileStorage
from tests.harness.hints import assert_hint

FILES = {"state.json": b"{}", "history.jsonl": b""}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Saver, list[str]]]:
    def make(storage: Any, retry: tuple[float, ...] = ()) -> tuple[Saver, list[str]]:
        log: list[str] = []
        checkpoints = Checkpoints(storage, RUN, "a", tmp_path, log.append)
        saver = Saver(checkpoints, storage, RUN, tmp_path, {}, log.append, retry_seconds=retry)
        return saver, log

    return make


def weights(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"model.safetensors": {"weight": torch.full((3, 2), value)}}


def restored(storage: LocalStorage, scratch: Path) -> tuple[int, float]:
    found = Checkpoints(storage, RUN, "reader", scratch, print).restore()
    assert found is not None
    held = safetensors.torch.load_file(found.folder / "model.safetensors")
    return found.step, float(held["weight"][0, 0])


class GatedStorage(FragileStorage):
    """Uploads wait until the gate is opened."""

    def __init__(self, inner: LocalStorage) -> None:
        super().__init__(inner)
        self.gate = threading.Event()
        self.waiting = threading.Event()

    def write_file(self, key: str, path: Path) -> None:
        self.waiting.set()
        assert self.gate.wait(30)
        super().write_file(key, path)


def test_what_is_saved_is_the_moment_of_the_save(
    make: Callable[..., Any], storage: LocalStorage, tmp_path: Path
) -> None:
    gated = GatedStorage(storage)
    saver, _ = make(gated)
    held = weights(1.0)
    saver.save(5, held, FILES, None)
    held["model.safetensors"]["weight"].fill_(2.0)
    assert gated.waiting.wait(30)
    assert not saver.wait(timeout=0)
    saver.check()
    gated.gate.set()
    assert saver.wait()
    assert restored(storage, tmp_path) == (5, 1.0)


def test_the_next_save_waits_for_the_one_before(
    make: Callable[..., Any], storage: LocalStorage, tmp_path: Path
) -> None:
    saver, _ = make(storage)
    for step in range(1, 6):
        saver.save(step, weights(float(step)), FILES, None)
    saver.wait()
    assert restored(storage, tmp_path) == (5, 5.0)


def test_a_full_storage_is_raised_at_once_and_costs_no_checkpoint(
    make: Callable[..., Any], storage: LocalStorage, tmp_path: Path
) -> None:
    saver, _ = make(storage)
    saver.save(1, weights(1.0), FILES, None)
    saver.wait()
    full = FragileStorage(storage, at=1, error=lambda: StorageFull("No room left."))
    saver, log = make(full, retry=(60.0,))
    saver.save(2, weights(2.0), FILES, None)
    with pytest.raises(StorageFull) as caught:
        saver.wait()
    assert caught.value.exit_code == 3
    assert log == []
    assert restored(storage, tmp_path) == (1, 1.0)


def test_a_full_disk_of_this_machine_is_the_same(
    make: Callable[..., Any], storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this test needs /dev/full")
    saver, _ = make(storage)
    opened = Path.open

    def full(path: Path, *arguments: Any, **named: Any) -> Any:
        return opened(
            Path("/dev/full") if path.suffix == ".safetensors" else path, *arguments, **named
        )

    monkeypatch.setattr(Path, "open", full)
    saver.save(1, weights(1.0), FILES, None)
    with pytest.raises(StorageFull, match="No room left on this machine's disk"):
        saver.wait()


def test_an_outage_is_waited_for(
    make: Callable[..., Any], storage: LocalStorage, tmp_path: Path
) -> None:
    shaky = FragileStorage(storage, at=1, error=lambda: StorageError("no answer"))
    saver, log = make(shaky, retry=(0.01,))
    saver.save(3, weights(3.0), FILES, None)
    saver.wait()
    assert "step 3 not saved yet: no answer" in log[0]
    assert restored(storage, tmp_path) == (3, 3.0)


def test_an_outage_that_does_not_end_is_raised(
    make: Callable[..., Any], storage: LocalStorage
) -> None:
    class AwayStorage(FragileStorage):
        def write_file(self, key: str, path: Path) -> None:
            raise StorageError("no answer")

    saver, log = make(AwayStorage(storage), retry=(0.01, 0.01))
    saver.save(3, weights(3.0), FILES, None)
    with pytest.raises(StorageError, match="no answer"):
        saver.wait()
    assert len(log) == 2


def test_the_history_lies_beside_the_checkpoints(
    make: Callable[..., Any], storage: LocalStorage
) -> None:
    saver, _ = make(storage)
    saver.save(1, weights(1.0), {**FILES, "history.jsonl": b'{"step": 1}\n'}, None)
    saver.wait()
    assert storage.read(keys.history_file(RUN)) == b'{"step": 1}\n'


def test_the_time_of_a_save_is_judged_by_the_last_one(
    make: Callable[..., Any], storage: LocalStorage
) -> None:
    saver, _ = make(storage)
    assert saver.expected_seconds(int(2 * nodes.UPLOAD_SPEED)) == 2.0
    saver.save(1, weights(1.0), FILES, None)
    saver.wait()
    assert saver.speed is not None
    assert saver.expected_seconds(10**12) == 10**12 / saver.speed


def test_the_speed_of_a_save_is_known_to_the_next_attempt(
    make: Callable[..., Any], storage: LocalStorage
) -> None:
    first, _ = make(storage)
    first.save(1, weights(1.0), FILES, None)
    first.wait()
    later, _ = make(storage)
    later.recall_speed()
    assert later.speed == first.speed


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"bytes_per_second": -1}', b'{"bytes_per_second": null}']
)
def test_a_speed_that_cannot_be_read_is_none(
    make: Callable[..., Any], storage: LocalStorage, text: bytes
) -> None:
    saver, _ = make(storage)
    saver.recall_speed()
    storage.write(keys.upload_file(RUN), text)
    saver.recall_speed()
    assert saver.speed is None


def test_an_upload_that_does_not_end_is_given_up(
    make: Callable[..., Any],
    storage: LocalStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, _ = make(storage)
    before.save(1, weights(1.0), FILES, None)
    before.finish()
    monkeypatch.setattr(savers, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(savers, "LONGEST_TIMES", 0.0)
    gated = GatedStorage(storage)
    saver, _ = make(gated)
    saver.save(2, weights(2.0), FILES, None)
    assert saver.busy
    with pytest.raises(StorageError, match="did not end in 0 min") as caught:
        saver.finish()
    assert caught.value.exit_code == 3
    assert_hint("The next attempt continues from the checkpoint before it.", caught.value.hint)
    assert restored(storage, tmp_path / "next") == (1, 1.0)
    gated.gate.set()
    assert saver.wait()
    assert not saver.busy
