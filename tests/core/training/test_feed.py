"""What training reads is the same however it is read."""

from __future__ import annotations

import threading
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from jobrunner.core.data.dataset import Dataset
from jobrunner.core.models.whisper_recipe import WindowBatch
from jobrunner.core.training import feed as feeds
from jobrunner.core.training.feed import Feed, Items
from jobrunner.core.training.setup import set_up
from jobrunner.spec import RunSpec
from tests.builders import stage_context
from tests.harness.elsewhere import Elsewhere
from tests.harness.prepared import Clip, write_split


def test_batches_are_bit_equal_for_any_number_of_workers(
    finished: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for workers in (0, 1, 2):
        monkeypatch.setattr(feeds, "worker_count", lambda *_, workers=workers, **more: workers)
        setup = set_up(stage_context(finished, tmp_path))
        steps = islice(setup.feed.steps(0, 1), 5)
        seen.append([(step, [batch for _, batch in micro]) for step, micro in steps])
    for other in seen[1:]:
        for (step, batches), (same, others) in zip(seen[0], other, strict=True):
            assert step == same
            for one, two in zip(batches, others, strict=True):
                assert isinstance(one, WindowBatch)
                assert isinstance(two, WindowBatch)
                assert torch.equal(one.features, two.features)
                assert torch.equal(one.inputs, two.inputs)
                assert torch.equal(one.labels, two.labels)
                assert one.weight == two.weight


class Noting(Elsewhere):
    """Notes which threads open shards; another thread may wait until so many were opened."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.threads: list[str] = []
        self.shards = threading.Semaphore(0)

    def open(self, key: str) -> BinaryIO:
        if key.endswith(".flacs"):
            self.threads.append(threading.current_thread().name)
            self.shards.release()
        return super().open(key)


def test_shards_are_fetched_ahead_once_and_no_read_waits_for_storage(
    finished: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "worker_count", lambda *_, **more: 0)
    storage = Noting(tmp_path / "storage")
    random = np.random.default_rng(0)
    clips = [Clip(f"{n}.wav", random.normal(0, 0.1, 8000), "ναι") for n in range(24)]
    write_split(storage, "data/el/", "train", clips, clips_a_shard=2)
    dataset = Dataset.open(storage, "data/el/", tmp_path / "scratch", language="el")
    recipe = set_up(stage_context(finished, tmp_path)).model.recipe
    feed = Feed(Items(dataset, dataset.utterances("train"), recipe), recipe, finished)
    steps = feed.steps(0, 0)
    first = next(steps)
    for _ in range(12):
        assert storage.shards.acquire(timeout=20)
    # What the reader had to fetch for itself before the first step, it did; nothing after that.
    waited = storage.threads.count(threading.current_thread().name)
    read = 0
    for _, micro in chain([first], islice(steps, 5)):
        read += sum(len(each.units) for each, _ in micro)
    steps.close()
    assert read >= 24
    assert storage.threads.count(threading.current_thread().name) == waited
    assert len(storage.threads) == 12
