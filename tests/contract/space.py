"""What every storage tells of its room, and what can be freed and repaired in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobrunner.runner.space import check, free, inventory
from jobrunner.runner.space.view import StorageView
from jobrunner.spec import keys
from jobrunner.storage import Storage
from tests import builders
from tests.harness.full import SHARD, fill

SPEC = builders.spec()
MODEL, DATA = keys.model_prefix(SPEC), keys.data_prefix(SPEC, "el")
RUN = builders.run_id(SPEC)
STEP = keys.checkpoint_prefix(RUN, 4)
# Objects of complete folders, and the folder that stops counting when one of them is damaged.
OBJECTS = {
    f"{MODEL}weights": MODEL,
    f"{DATA}test/00000-abc.flacs": f"{DATA}test/",
    f"{DATA}test/index-abc.jsonl": f"{DATA}test/",
    f"{DATA}train/00000-abc.flacs": f"{DATA}train/",
    f"{keys.export_prefix(RUN)}weights": keys.export_prefix(RUN),
    f"{STEP}attempt/{keys.WEIGHTS}": STEP,
}
# Objects that name the others: unreadable, they are the damage.
MARKERS = {
    f"{MODEL}manifest.json": MODEL,
    f"{DATA}test/manifest.json": f"{DATA}test/",
    f"{DATA}train/manifest.json": f"{DATA}train/",
    f"{keys.export_prefix(RUN)}manifest.json": keys.export_prefix(RUN),
    f"{STEP}attempt/manifest.json": STEP,
    f"{STEP}{keys.COMMIT}": STEP,
}


def _all(storage: Storage) -> dict[str, int]:
    return {entry.key: entry.size for entry in storage.list("")}


class SpaceContract:
    """Tests of an empty storage; `storage` is a fixture of whoever runs them."""

    def test_all_objects_are_counted_once(self, storage: Storage, tmp_path: Path) -> None:
        runs = fill(storage, tmp_path)
        storage.write("notes/of/somebody.txt", b"not ours")
        held = inventory.take(storage)
        (data,), (model,) = held.data, held.models
        assert (data.prefix, data.name) == (DATA, "Greek, fleurs")
        assert (model.prefix, model.name) == (MODEL, "whisper-small")
        assert set(data.runs) == set(model.runs) == set(runs)
        assert {run.run for run in held.runs} == set(runs)
        counted = {entry.key: entry.size for each in held.shared for entry in each.entries}
        counted |= {entry.key: entry.size for run in held.runs for entry in run.whole.entries}
        assert counted == {k: n for k, n in _all(storage).items() if not k.startswith("notes/")}
        parts = held.runs[0].parts
        assert [len(parts[name].entries) for name in ("checkpoints", "export")] == [6, 3]
        assert [len(parts[name].entries) for name in ("results", "logs", "rest")] == [2, 1, 3]

    def test_a_sound_storage_has_no_damage(self, storage: Storage, tmp_path: Path) -> None:
        fill(storage, tmp_path)
        for deep in (False, True):
            found = check.check(storage, deep=deep)
            assert (found.damages, found.leftovers) == ((), ())
            # A model, two splits, two exports, and two checkpoints of each run.
            assert found.folders == 9

    @pytest.mark.parametrize("key", OBJECTS)
    @pytest.mark.parametrize("how", ["lost", "cut", "changed"])
    def test_what_is_damaged_is_named_and_repaired(
        self, storage: Storage, tmp_path: Path, key: str, how: str
    ) -> None:
        fill(storage, tmp_path)
        before = _all(storage)
        sound = storage.read(key)
        if how == "lost":
            storage.delete(key)
        else:
            storage.write(key, sound[:-3] if how == "cut" else b"\0" + sound[1:])
        told = {"lost": "is missing", "cut": f"has {len(sound) - 3} bytes instead of {len(sound)}"}
        view = StorageView(storage)
        assert bool(view.check().damages) == (how != "changed")
        found = view.check(deep=True)
        assert [damage.line for damage in found.damages] == [
            f"{key} {told.get(how, 'differs from its SHA-256')}"
        ]
        assert [folder.prefix for folder in found.damaged] == [OBJECTS[key]]

        view.repair(found, found.damaged)
        assert view.check(deep=True).damages == ()
        gone = {OBJECTS[key] + "manifest.json", key}
        if OBJECTS[key] == STEP:
            gone = {each for each in before if each.startswith(STEP)}
        assert set(_all(storage)) == set(before) - gone

    @pytest.mark.parametrize("key", MARKERS)
    @pytest.mark.parametrize("content", [b"{", b"[]", b'{"files": 3, "index": 1}', b"\xff"])
    def test_a_manifest_that_cannot_be_read_is_damage(
        self, storage: Storage, tmp_path: Path, key: str, content: bytes
    ) -> None:
        fill(storage, tmp_path)
        storage.write(key, content)
        view = StorageView(storage)
        found = view.check()
        (damage,) = found.damages
        assert re.fullmatch(rf"{key} (cannot be read|differs from what was committed)", damage.line)
        assert damage.folder.prefix == MARKERS[key]
        view.repair(found, found.damaged)
        assert view.check().damages == ()

    def test_a_run_is_removed_whole_and_nothing_of_another(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        run, other = fill(storage, tmp_path)
        before = _all(storage)
        own = {key for key in before if key.startswith(keys.run_prefix(run))}
        removal = free.everything(storage, run)
        assert removal.exported
        assert removal.size == sum(before[key] for key in own)
        assert removal.entries[-1].key == keys.run_file(run)
        removal.carry_out()
        assert set(_all(storage)) == set(before) - own
        assert inventory.take_run(storage, run) is None
        assert inventory.take_run(storage, other) is not None
        assert free.everything(storage, run).entries == []

    def test_checkpoints_are_removed_alone(self, storage: Storage, tmp_path: Path) -> None:
        run, _ = fill(storage, tmp_path)
        before = _all(storage)
        own = {key for key in before if key.startswith(keys.checkpoints_prefix(run))}
        removal = free.checkpoints(storage, run)
        # What makes a checkpoint count goes before its parts.
        assert [entry.key.endswith(keys.COMMIT) for entry in removal.entries].index(True) == 0
        removal.carry_out()
        assert set(_all(storage)) == set(before) - own

    def test_half_written_folders_go_once_they_are_old_and_unused(
        self, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, other = fill(storage, tmp_path)
        view = StorageView(storage)
        half = {"models/abc/weights", "data/abc/train/00000-abc.flacs", "data/abc/report.json"}
        half |= {"data/def/train/00000-abc.flacs"}
        for key in half:
            storage.write(key, SHARD)
        storage.write("data/def/test/manifest.json", b'{"files": {}}')
        storage.delete(f"{MODEL}manifest.json")
        assert view.check().leftovers == ()  # somebody may still be writing them
        monkeypatch.setattr(check, "ABANDONED", -60.0)
        assert view.check(live=["of-another-client"]).leftovers == ()
        found = view.check(live=[run])
        # The base model that two runs use is half-written too.
        assert {entry.key for each in found.leftovers for entry in each.entries} == half
        storage.write(keys.run_file(other), b"{")
        assert view.check().leftovers == ()  # nobody knows what that run uses
        view.repair(found, ())
        assert half.isdisjoint(_all(storage))
        assert f"{MODEL}weights" in _all(storage)
        assert "data/def/test/manifest.json" in _all(storage)
