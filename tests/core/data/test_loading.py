"""Workers are those of the container and of the rank, and their batches fit into shared memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobrunner.core.data import loading, pool
from jobrunner.core.data.loading import fitting, worker_count

GIB = 2**30


def with_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, affinity: int, limit: str) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit)
    monkeypatch.setattr(pool, "_CGROUP", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)))


@pytest.mark.parametrize(
    ("affinity", "limit", "ranks", "workers"),
    [
        (64, "max 100000", 1, 8),
        (64, "400000 100000", 1, 3),
        (64, "1600000 100000", 4, 3),
        (96, "max 100000", 8, 8),
        (2, "max 100000", 1, 1),
        (1, "max 100000", 1, 0),
    ],
)
def test_cores_are_the_containers_and_are_divided_by_the_ranks(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    affinity: int,
    limit: str,
    ranks: int,
    workers: int,
) -> None:
    with_cores(monkeypatch, tmp_path, affinity, limit)
    assert worker_count(0, ranks) == workers


def test_eight_ranks_on_eight_cores_have_one_worker_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_cores(monkeypatch, tmp_path, 64, "800000 100000")
    assert worker_count(0, 8, least=1) == 1
    assert worker_count(3, 8) == 3


@pytest.mark.parametrize(
    ("free", "wanted", "batch", "ranks", "found"),
    [
        (8 * GIB, 8, 1_000_000, 1, (8, 4)),
        (8 * GIB, 8, 0.2 * GIB, 1, (8, 2)),
        (8 * GIB, 8, 0.2 * GIB, 8, (2, 1)),
        (64 * 2**20, 8, 0.05 * GIB, 1, (1, 1)),
        (8 * GIB, 0, 0.2 * GIB, 1, (0, 4)),
    ],
)
def test_batches_ahead_fit_into_half_of_shared_memory(
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    wanted: int,
    batch: float,
    ranks: int,
    found: tuple[int, int],
) -> None:
    def usage(path: Any) -> Any:
        assert path == loading.SHARED_MEMORY
        return shutil._ntuple_diskusage(free, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(loading, "SHARED_MEMORY", Path("/dev"))
    workers, ahead = fitting(wanted, batch, ranks)
    assert (workers, ahead) == found
    if workers > 1:
        assert workers * ahead * batch * ranks <= free / 2


def test_where_there_is_no_shared_memory_nothing_is_bounded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loading, "SHARED_MEMORY", tmp_path / "absent")
    assert fitting(5, 1e12) == (5, loading.MOST_AHEAD)
