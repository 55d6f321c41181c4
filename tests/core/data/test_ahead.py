"""Shards come before they are read, in the order of reading, and not without bound."""

from __future__ import annotations

import threading
from queue import Queue

from jobrunner.core.data.ahead import THREADS, ShardsAhead
from jobrunner.errors import StorageError

SECONDS = 20.0


def test_each_shard_is_fetched_once_in_the_order_of_the_steps() -> None:
    fetched: Queue[str] = Queue()
    ahead = ShardsAhead(fetched.put)
    ahead.plan(["b", "a", "b"])
    ahead.plan(["a", "c"])
    ahead.plan(["b", "d"])
    ahead.start()
    found = [fetched.get(timeout=SECONDS) for _ in range(4)]
    ahead.close()
    # Threads race for the end of a fetch, not for its beginning.
    assert sorted(found) == ["a", "b", "c", "d"]
    assert fetched.empty()


def test_one_fetch_at_a_time_follows_the_order() -> None:
    lock, order = threading.Lock(), Queue[str]()

    class Alone(ShardsAhead):
        def _next(self) -> str | None:
            with lock:
                shard = super()._next()
                if shard:
                    order.put(shard)
                return shard

    ahead = Alone(lambda shard: None)
    ahead.plan(["b", "a"])
    ahead.plan(["c"])
    ahead.plan(["b", "e", "d"])
    ahead.start()
    found = [order.get(timeout=SECONDS) for _ in range(5)]
    ahead.close()
    assert found == ["b", "a", "c", "e", "d"]


def test_no_more_than_so_many_are_fetched_before_the_reader_comes() -> None:
    passed = 0
    fetched: Queue[tuple[str, int]] = Queue()
    ahead = ShardsAhead(lambda shard: fetched.put((shard, passed)), most=2)
    ahead.plan(["a", "b"])
    ahead.plan(["c"])
    ahead.plan(["d"])
    ahead.start()
    assert sorted(fetched.get(timeout=SECONDS) for _ in range(2)) == [("a", 0), ("b", 0)]
    passed = 1
    ahead.reached()  # the step of two shards
    assert sorted(fetched.get(timeout=SECONDS) for _ in range(2)) == [("c", 1), ("d", 1)]
    ahead.close()


def test_a_fetch_that_fails_is_left_to_the_reader() -> None:
    fetched: Queue[str] = Queue()

    def fetch(shard: str) -> None:
        fetched.put(shard)
        if shard != "last":
            raise StorageError("storage refuses")

    ahead = ShardsAhead(fetch)
    ahead.plan([*(f"bad-{number}" for number in range(2 * THREADS)), "last"])
    ahead.start()
    found = {fetched.get(timeout=SECONDS) for _ in range(2 * THREADS + 1)}
    ahead.close()
    assert "last" in found


def test_closing_waits_for_fetches_in_progress_and_begins_no_other() -> None:
    begun, may_end = threading.Event(), threading.Event()
    ended: list[str] = []

    def fetch(shard: str) -> None:
        begun.set()
        may_end.wait(SECONDS)
        ended.append(shard)

    ahead = ShardsAhead(fetch, most=1)
    ahead.plan(["a", "b"])
    ahead.start()
    assert begun.wait(SECONDS)
    threading.Timer(0.05, may_end.set).start()
    ahead.close()
    assert ended == ["a"]
    assert not [t for t in threading.enumerate() if t.name.startswith("shards-ahead")]
