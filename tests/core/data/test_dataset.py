"""Prepared speech in a storage that is no folder: shards come once, verified."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pickle
from pathlib import Path

import pytest

from jobrunner.core import prepare
from jobrunner.core.data import layout
from jobrunner.core.data.dataset import Dataset
from jobrunner.errors import PERMANENT_EXIT_CODES, DataError, Lost, StorageError
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.elsewhere import Elsewhere
from tests.harness.speech import make_context, make_spec, rows, write_speech


def _prepared(root: Path) -> tuple[Elsewhere, Dataset, Dataset]:
    """The same data set read from elsewhere, and in place."""
    write_speech(root / "speech", rows())
    spec = make_spec(root)
    storage = Elsewhere(Path(spec.storage))
    prepare.run(make_context(spec, storage=storage))
    prefix = keys.data_prefix(spec, "el")
    storage.forget()
    local = Dataset.open(LocalStorage(Path(spec.storage)), prefix, root / "unused", language="el")
    remote = Dataset.open(storage, prefix, root / "scratch", language="el")
    return storage, remote, local


def _read_all(dataset: Dataset) -> int:
    return sum(len(dataset.audio(utterance)) for utterance in dataset.utterances("train"))


def test_a_remote_shard_is_fetched_once_and_gives_the_same_audio(tmp_path: Path) -> None:
    storage, remote, local = _prepared(tmp_path)
    assert remote.utterances("train") == local.utterances("train")
    for utterance in remote.utterances("train"):
        assert (remote.audio(utterance) == local.audio(utterance)).all()
    assert len([key for key in storage.opened() if key.endswith(".flacs")]) == 1


def test_worker_processes_share_what_was_fetched(tmp_path: Path) -> None:
    storage, remote, local = _prepared(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        counts = pool.map(_read_all, [pickle.loads(pickle.dumps(remote))] * 4)
    assert counts == [_read_all(local)] * 4
    assert len([key for key in storage.opened() if key.endswith(".flacs")]) == 1


def test_a_shard_that_was_damaged_on_its_way_is_refused(tmp_path: Path) -> None:
    storage, remote, _ = _prepared(tmp_path)
    utterance = remote.utterances("train")[0]
    key = remote.prefix + utterance.shard
    storage.write(key, storage.read(key)[:-1] + b"?")
    with pytest.raises(Lost, match="differs from its manifest"):
        remote.audio(utterance)
    # It is gone, so that the next `prepare` makes it again.
    with pytest.raises(Lost, match="is not in storage"):
        remote.audio(utterance)
    assert layout.missing(storage, remote.prefix, "train") == [key]
    assert layout.missing(storage, remote.prefix, "test") == []


def test_a_damaged_copy_on_this_machine_is_fetched_again(tmp_path: Path) -> None:
    _, remote, local = _prepared(tmp_path)
    utterance = remote.utterances("train")[0]
    remote.audio(utterance)
    [copy] = (tmp_path / "scratch").rglob("*.flacs")
    copy.write_bytes(bytes(copy.stat().st_size))
    with pytest.raises(StorageError, match=r"this machine's copy of .* is removed") as caught:
        remote.audio(utterance)
    assert caught.value.exit_code not in PERMANENT_EXIT_CODES
    assert (remote.audio(utterance) == local.audio(utterance)).all()


def test_a_shard_as_it_was_prepared_stays_whatever_the_decoder_says(tmp_path: Path) -> None:
    _, _, local = _prepared(tmp_path)
    utterance = dataclasses.replace(local.utterances("train")[0], offset=1)
    with pytest.raises(DataError, match="cannot be decoded"):
        local.audio(utterance)
    assert len(local.audio(local.utterances("train")[0]))


@pytest.mark.parametrize("damage", ["deleted", "other", "noise"])
def test_an_index_that_is_missing_or_damaged_counts_as_missing(tmp_path: Path, damage: str) -> None:
    storage, remote, _ = _prepared(tmp_path)
    [key] = [e.key for e in storage.list(remote.prefix + "train/") if "index-" in e.key]
    if damage == "deleted":
        storage.delete(key)
    else:
        good = storage.read(key)
        bad = good.replace(b"sentence", b"SENTENCE") if damage == "other" else b"?" * len(good)
        storage.write(key, bad)
    with pytest.raises(Lost, match="index-"):
        remote.utterances("train")
    assert layout.missing(storage, remote.prefix, "train") == [key]


def test_a_damaged_clip_and_a_damaged_manifest_are_told(tmp_path: Path) -> None:
    storage, remote, local = _prepared(tmp_path)
    utterance = local.utterances("test")[0]
    storage.write(local.prefix + utterance.shard, b"?" * 100_000)
    with pytest.raises(StorageError, match=r"test/000\.wav is damaged"):
        local.audio(utterance)
    storage.delete(local.prefix + utterance.shard)
    with pytest.raises(StorageError, match="is not in storage"):
        local.audio(utterance)
    storage.write(layout.manifest_key(local.prefix, "test"), b"{")
    with pytest.raises(StorageError, match=r"test/manifest\.json is damaged"):
        Dataset.open(storage, remote.prefix, tmp_path, language="el")
