"""Prepared speech in a storage that is no folder: shards come once, verified."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import pytest

from jobrunner.core import prepare
from jobrunner.core.data import layout
from jobrunner.core.data.dataset import Dataset
from jobrunner.errors import StorageError
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
    for _ in range(2):
        with pytest.raises(StorageError, match="differs from its manifest"):
            remote.audio(utterance)


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
