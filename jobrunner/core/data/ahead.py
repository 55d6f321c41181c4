"""Fetches shards ahead of whoever reads them, in the order in which they will be read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from jobrunner.errors import JobrunnerError

# One fetch waits for its storage most of the time, so a few run at once.
THREADS = 4
# Shards of steps that no worker has come to yet: 0.6 GB at 9 MB a shard.
MOST_AHEAD = 64


class ShardsAhead:
    """Threads that fetch planned shards, each once, and at most so many ahead of the reader.

    A fetch that fails is left to the reader, which needs the shard and reports the error.

    Args:
        fetch: fetches one shard; any number of threads may call it.
        most: shards that may be fetched before the reader comes to their step.
    """

    def __init__(self, fetch: Callable[[str], object], *, most: int = MOST_AHEAD) -> None:
        self._fetch = fetch
        self._known: set[str] = set()
        self._new: deque[int] = deque()
        self._queue: deque[str] = deque()
        self._room = most
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the threads. Processes must be forked before, not after."""
        self._threads = [
            threading.Thread(target=self._work, name=f"shards-ahead-{number}", daemon=True)
            for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def plan(self, shards: Iterable[str]) -> None:
        """Appends the shards of one more step; those that were planned before are left out."""
        new = [shard for shard in dict.fromkeys(shards) if shard not in self._known]
        self._known.update(new)
        with self._changed:
            self._queue.extend(new)
            self._new.append(len(new))
            self._changed.notify_all()

    def reached(self) -> None:
        """Makes room: the reader comes to the next of the planned steps."""
        with self._changed:
            self._room += self._new.popleft()
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the threads, after the fetches in progress."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while shard := self._next():
            try:
                self._fetch(shard)
            except JobrunnerError:
                continue

    def _next(self) -> str | None:
        """The next shard, as soon as there is room for it; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._queue and self._room > 0))
            if self._closed:
                return None
            self._room -= 1
            return self._queue.popleft()
