"""Prepared speech in a storage that is no folder: shards come once, verified."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from jobrunner.core import prepare
from jobrunner.core.data import layout
from jobrunner.core.data.dataset import Dataset
from jobrunner.errors import StorageError
from jobrunner.spec import names
from jobrunner.storage import Entry
from jobrunner.storage.local import LocalStorage
from tests.harness.speech import make_context, make_spec, rows, write_speech


class Elsewhere:
    """Storage whose files cannot be read in place. Notes in a file what was opened."""

    def __init__(self, root: Path) -> None:
        self._storage = LocalStorage(root)
        self.opened = root.parent / "opened"

    @property
    def url(self) -> str:
        return self._storage.url

    def read(self, key: str) -> bytes:
        return self._storage.read(key)

    def open(self, key: str) -> BinaryIO:
        with self.opened.open("a") as file:
            file.write(f"{key}\n")
        return self._storage.open(key)

    def write(self, key: str, data: bytes) -> None:
        self._storage.write(key, data)

    def write_file(self, key: str, path: Path) -> None:
        self._storage.write_file(key, path)

    def create(self, key: str, data: bytes) -> bool:
        return self._storage.create(key, data)

    def stat(self, key: str) -> Entry | None:
        return self._storage.stat(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._storage.list(prefix)

    def delete(self, key: str) -> None:
        self._storage.delete(key)

    def clean_uploads(self, *args: Any, **kwargs: Any) -> Any:
        return self._storage.clean_uploads(*args, **kwargs)


def _prepared(root: Path) -> tuple[Elsewhere, Dataset, Dataset]:
    """The same data set read from elsewhere, and in place."""
    write_speech(root / "speech", rows())
    spec = make_spec(root)
    storage = Elsewhere(Path(spec.storage))
    prepare.run(make_context(spec, storage=storage))
    prefix = names.data_prefix(spec, "el")
    storage.opened.unlink()
    local = Dataset.open(LocalStorage(Path(spec.storage)), prefix, root / "unused")
    return storage, Dataset.open(storage, prefix, root / "scratch"), local


def _read_all(dataset: Dataset) -> int:
    return sum(len(dataset.audio(utterance)) for utterance in dataset.utterances("train"))


def test_a_remote_shard_is_fetched_once_and_gives_the_same_audio(tmp_path: Path) -> None:
    storage, remote, local = _prepared(tmp_path)
    assert remote.utterances("train") == local.utterances("train")
    for utterance in remote.utterances("train"):
        assert (remote.audio(utterance) == local.audio(utterance)).all()
    opened = [line for line in storage.opened.read_text().splitlines() if line.endswith(".flacs")]
    assert len(opened) == 1


def test_worker_processes_share_what_was_fetched(tmp_path: Path) -> None:
    storage, remote, local = _prepared(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        counts = pool.map(_read_all, [pickle.loads(pickle.dumps(remote))] * 4)
    assert counts == [_read_all(local)] * 4
    opened = [line for line in storage.opened.read_text().splitlines() if line.endswith(".flacs")]
    assert len(opened) == 1


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
        Dataset.open(storage, remote.prefix, tmp_path)
