"""The work with storage that the first rank does alone, while the others wait for it.

They do not wait in a collective operation, which would time out during a long download, but for a
key in the store through which the ranks found each other.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed

from jobrunner.core.attempt import heartbeat

T = TypeVar("T")

# Longest time in a collective operation, within which the slowest rank must arrive. It is longer
# than the first rank waits for an upload (`saver.finish`), and ends an attempt that hangs.
COLLECTIVE = timedelta(hours=1)
_NUMBERS = itertools.count()


def end() -> None:
    """Leaves the group of ranks. Its threads would end a process that ends before them."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def from_first(accelerator: Any, make: Callable[[], T]) -> T:
    """The value that the first rank makes, on all ranks; all must call it in the same order.

    Args:
        accelerator: the accelerator of this rank.
        make: called on the first rank only; its errors end that rank, and with it the attempt.
    """
    key = f"jobrunner/{next(_NUMBERS)}"
    heartbeat.beat(heartbeat.LONGEST_SECONDS)
    if accelerator.num_processes == 1:
        return make()
    store = torch.distributed.distributed_c10d._get_default_store()
    if accelerator.is_main_process:
        value = make()
        store.set(key, pickle.dumps(value))  # type: ignore[arg-type]
        return value
    store.wait([key], timedelta(seconds=heartbeat.LONGEST_SECONDS))
    found: T = pickle.loads(store.get(key))
    return found
