"""Worker processes on the cores that this process may use."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import TypeVar

from jobrunner.errors import Interrupted, JobrunnerError

_CGROUP = Path("/sys/fs/cgroup/cpu.max")
# Seconds between looks at the stop flag while workers are busy.
_LOOK = 0.2

A = TypeVar("A")
B = TypeVar("B")


def cores() -> int:
    """Cores that this process may use: its affinity, and the limit of its container (cgroup v2)."""
    count = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP.read_text().split()
        count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no cgroup v2, or its quota is `max`
    return count


def spread(
    function: Callable[[A], B], tasks: Iterable[A], workers: int, stop: Callable[[], bool]
) -> Iterator[B]:
    """Runs tasks in worker processes and yields their results as they come.

    At most two tasks per worker are in progress, so memory does not grow with their number.

    Args:
        function: can be imported by name.
        tasks: can be pickled.
        workers: number of processes; 1 means this process.
        stop: asked between tasks; tasks in progress are finished and their results yielded first.

    Raises:
        Interrupted: `stop` returned True.
        JobrunnerError: a worker died.
    """
    if workers == 1:
        for task in tasks:
            _raise_if(stop())
            yield function(task)
        return
    method = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=method, initializer=_begin_worker)
    try:
        yield from _window(pool, function, iter(tasks), 2 * workers, stop)
    except BrokenProcessPool:
        _raise_if(stop())
        raise JobrunnerError(
            "A worker process died, most likely because memory ran out.",
            hint="Give prepare more memory or fewer cores; it continues where it stopped.",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _window(
    pool: ProcessPoolExecutor,
    function: Callable[[A], B],
    tasks: Iterator[A],
    width: int,
    stop: Callable[[], bool],
) -> Iterator[B]:
    running: set[Future[B]] = {pool.submit(function, task) for task in islice(tasks, width)}
    while running:
        done, running = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
        if stop():
            running = {future for future in running if not future.cancel()}
            for future in done | wait(running).done:
                yield future.result()
            _raise_if(True)
        running |= {pool.submit(function, task) for task in islice(tasks, len(done))}
        for future in done:
            yield future.result()


def _raise_if(stopped: bool) -> None:
    if stopped:
        raise Interrupted("Stopped; the finished shards are kept.")


def _begin_worker() -> None:
    """Makes a worker ignore signals, and end with its parent however that ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
