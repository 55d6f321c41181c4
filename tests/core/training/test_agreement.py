"""What the first rank does alone reaches the others, however long it takes."""

from __future__ import annotations

import sys

import pytest

from jobrunner.core.training import ranks

# The process group gives up after 0.1 s; the first rank takes longer than that.
SCRIPT = """
import os, threading
from datetime import timedelta
from types import SimpleNamespace
import torch.distributed as distributed
from jobrunner.core.training.agreement import from_first

rank = int(os.environ["RANK"])
distributed.init_process_group("gloo", timeout=timedelta(seconds=30))
distributed.barrier()
distributed.distributed_c10d._set_pg_timeout(timedelta(seconds=0.1))
accelerator = SimpleNamespace(num_processes=2, is_main_process=rank == 0)

def make(value):
    assert rank == 0
    threading.Event().wait(0.5)
    return value

assert from_first(accelerator, lambda: make(("step", 3))) == ("step", 3)
assert from_first(accelerator, lambda: make(None)) is None
print(f"rank {rank} agrees", flush=True)
"""


def test_the_others_wait_for_the_first_rank_longer_than_a_collective_operation_may_take(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert ranks.run(2, [sys.executable, "-c", SCRIPT]) == 0
    said = capfd.readouterr().out
    assert "rank 0 agrees" in said
    assert "rank 1 agrees" in said


def test_an_error_of_the_first_rank_ends_the_others() -> None:
    failing = SCRIPT.replace("return value", "os._exit(66)")
    assert ranks.run(2, [sys.executable, "-c", failing]) == 66
