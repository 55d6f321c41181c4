"""How many processes load data on this machine, and how far ahead they may be."""

from __future__ import annotations

import shutil
from pathlib import Path

from jobrunner.core.data.pool import cores

MOST_WORKERS = 8
# Micro-batches that each worker makes ahead, at most. With two, a step of many short clips still
# kept the loop waiting after it.
MOST_AHEAD = 4
# Batches travel from the workers through files in shared memory, which other processes use too.
SHARE_OF_MEMORY = 0.5
SHARED_MEMORY = Path("/dev/shm")


def worker_count(asked: int, ranks: int = 1, least: int = 0) -> int:
    """Processes that load data for one rank.

    Args:
        asked: the number requested; 0 leaves one of the rank's cores to the loop, with 8 workers at
            most. Cores are those of the container.
        ranks: ranks that share this machine.
        least: fewest workers if none are requested: a GPU needs one even if cores are scarce.
    """
    return asked or max(least, min(MOST_WORKERS, cores() // ranks - 1))


def fitting(workers: int, batch_bytes: float, ranks: int = 1) -> tuple[int, int]:
    """Workers, and micro-batches that each makes ahead, for which shared memory has room.

    Args:
        workers: workers that are wanted; 0 stays 0.
        batch_bytes: bytes of a micro-batch.
        ranks: ranks that share this machine.
    """
    if not workers or not SHARED_MEMORY.is_dir():
        return workers, MOST_AHEAD
    free = shutil.disk_usage(SHARED_MEMORY).free * SHARE_OF_MEMORY / ranks
    batches = max(1, int(free / max(batch_bytes, 1.0)))
    workers = min(workers, batches)
    return workers, min(MOST_AHEAD, batches // workers)
