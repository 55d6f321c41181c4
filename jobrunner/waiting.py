"""Says for whom a command waits, once that has taken longer than people expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds of silence after which a person wonders.
PATIENCE = 2.0

_listeners: list[Callable[[str], None]] = []
_said: set[str] = set()


def listen(say: Callable[[str], None]) -> None:
    """Has `say` called, from another thread, with one line for each that is waited for."""
    _listeners.append(say)


@contextmanager
def waiting_for(whom: str) -> Iterator[None]:
    """Says `whom` if the block takes longer than `PATIENCE`; once a process, if anyone listens."""
    if not _listeners or whom in _said:
        yield
        return
    import threading

    timer = threading.Timer(PATIENCE, _say, (whom,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(whom: str) -> None:
    if whom not in _said:
        _said.add(whom)
        for say in _listeners:
            say(f"Waiting for {whom} to answer.")
