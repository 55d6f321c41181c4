"""Prepared speech with gaps: what is missing in storage is found, named, and made again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from jobrunner.core import prepare
from jobrunner.core.data import layout
from jobrunner.core.data.dataset import Dataset
from jobrunner.corpora import fingerprint
from jobrunner.errors import Lost
from jobrunner.spec import RunSpec, keys
from jobrunner.storage.base import Entry
from jobrunner.storage.local import LocalStorage
from tests.harness.speech import make_context, make_spec, rows, write_speech


def _dataset(spec: RunSpec) -> Dataset:
    root, prefix = Path(spec.storage), keys.data_prefix(spec, "el")
    return Dataset.open(LocalStorage(root), prefix, root.parent / "s", language="el")


def _pinned(root: Path) -> RunSpec:
    """A run whose speech is prepared, and found in storage by the next one."""
    speech = write_speech(root / "speech", rows())
    spec = make_spec(root, revision=fingerprint.of_speech(speech))
    prepare.run(make_context(spec))
    return spec


def _stored(spec: RunSpec) -> dict[str, bytes]:
    storage = LocalStorage(Path(spec.storage))
    return {entry.key: storage.read(entry.key) for entry in storage.list("")}


DAMAGES = {
    "a shard is gone": ("train/00000-", ".flacs", None),
    "a shard is gone, its record damaged too": ("train/00000-", ".flacs", None),
    "a shard is cut": ("train/00000-", ".flacs", -100),
    "an index is gone": ("test/index-", ".jsonl", None),
    "an index is cut": ("test/index-", ".jsonl", -10),
    "a manifest is gone": ("validation/manifest", ".json", None),
    "a manifest is cut": ("validation/manifest", ".json", -10),
    "the weights of the model are gone": ("model", ".safetensors", None),
    "the weights of the model are cut": ("model", ".safetensors", -100),
    "the whole of a split is gone": ("train/", "", None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_in_storage_is_prepared_again_byte_for_byte(
    tmp_path: Path, damage: str
) -> None:
    spec = _pinned(tmp_path)
    before, storage = _stored(spec), LocalStorage(Path(spec.storage))
    start, end, cut = DAMAGES[damage]
    for key, data in before.items():
        if f"/{start}" in key and key.endswith(end):
            storage.delete(key) if cut is None else storage.write(key, data[:cut])
        if damage.endswith("damaged too") and key.endswith("train/00000.json"):
            storage.write(key, b"{")
    assert _stored(spec) != before

    context = make_context(spec)
    prepare.run(context)

    assert _stored(spec) == before
    if damage == "a shard is gone":
        assert any("flacs is not in storage as prepared before" in x for x in context.lines)


def test_what_is_whole_is_left_alone_with_one_listing_for_each_part(tmp_path: Path) -> None:
    class Listing(LocalStorage):
        seen: ClassVar[list[str]] = []

        def list(self, prefix: str) -> Iterator[Entry]:
            self.seen.append(prefix)
            return super().list(prefix)

        def stat(self, key: str) -> Entry | None:
            assert ".flacs" not in key or self.seen, "a request for each shard"
            return super().stat(key)

    spec = _pinned(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in Path(spec.storage).rglob("*.flacs")}
    storage = Listing(Path(spec.storage))
    context = make_context(spec, storage=storage)
    prepare.run(context)
    assert "all speech is in storage already" in context.lines
    assert len(storage.seen) <= 8
    assert {p: p.stat().st_mtime_ns for p in written} == written


@pytest.mark.parametrize("form", ["today's", "of 0.1.0"])
def test_a_split_is_looked_at_with_one_read_of_its_manifest_and_one_listing(
    tmp_path: Path, form: str
) -> None:
    class Counting(LocalStorage):
        asked: ClassVar[list[str]] = []

        def read(self, key: str) -> bytes:
            self.asked.append(key)
            return super().read(key)

        def list(self, prefix: str) -> Iterator[Entry]:
            self.asked.append(prefix)
            return super().list(prefix)

    spec = _pinned(tmp_path)
    storage, prefix = Counting(Path(spec.storage)), keys.data_prefix(spec, "el")
    key = layout.manifest_key(prefix, "train")
    if form == "of 0.1.0":
        older = {k: v for k, v in json.loads(storage.read(key)).items() if k != "files"}
        storage.write(key, json.dumps(older).encode())
    for ask in (layout.missing, layout.read_whole):
        Counting.asked = []
        assert ask(storage, prefix, "train") or ask is layout.missing
        assert Counting.asked == [key, layout.split_prefix(prefix, "train")]


def test_data_of_version_0_1_0_is_checked_by_its_names(tmp_path: Path) -> None:
    spec = _pinned(tmp_path)
    storage, prefix = LocalStorage(Path(spec.storage)), keys.data_prefix(spec, "el")
    key = layout.manifest_key(prefix, "train")
    older = {k: v for k, v in json.loads(storage.read(key)).items() if k != "files"}
    storage.write(key, json.dumps(older).encode())
    assert layout.missing(storage, prefix, "train") == []
    [shard] = older["shards"]
    storage.delete(prefix + shard)
    assert layout.missing(storage, prefix, "train") == [prefix + shard]
    prepare.run(make_context(spec))
    assert layout.missing(storage, prefix, "train") == []
    assert len(_dataset(spec).utterances("train")) == 12


def test_a_split_that_this_run_does_not_need_may_be_damaged(tmp_path: Path) -> None:
    spec = _pinned(tmp_path)
    shutil.rmtree(Path(spec.storage) / keys.data_prefix(spec, "el") / "test")
    for path in (Path(spec.storage) / keys.data_prefix(spec, "el") / "train").glob("*.jsonl"):
        path.unlink()
    prepare.run(make_context(spec.model_copy(update={"task": "evaluate"})))
    assert _dataset(spec).utterances("test")


@pytest.mark.parametrize("part", [".flacs", ".jsonl", "manifest.json"])
def test_what_a_reader_finds_damaged_is_prepared_again_byte_for_byte(
    tmp_path: Path, part: str
) -> None:
    spec = _pinned(tmp_path)
    before, storage = _stored(spec), LocalStorage(Path(spec.storage))
    [key] = [key for key in before if "/train/" in key and key.endswith(part)]
    storage.write(key, bytes(len(before[key])))

    def read() -> int:
        dataset = _dataset(spec)
        return sum(len(dataset.audio(each)) for each in dataset.utterances("train"))

    with pytest.raises(Lost, match=re.escape(key)) as caught:
        read()
    assert caught.value.hint == "Submit the run again; the missing part is then made again."
    assert storage.stat(key) is None
    prepare.run(make_context(spec))
    assert _stored(spec) == before
    assert read()
