"""The speed of training, and the time that it spends waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# Seconds between log lines, at least and at most; in between, a twentieth of the time so far.
LOG_SECONDS = (5.0, 60.0)


class Pace:
    """Clocks of one attempt.

    Args:
        log: logs one line for people.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._began = self._logged_at = time.perf_counter()
        self._audio_since_log = 0.0
        self._paused_since_log = 0.0
        self.audio_seconds = 0.0
        """Audio trained on by this attempt."""
        self.steps = 0
        self.paused_seconds = 0.0
        """Time spent validating."""
        self.waited_seconds = 0.0
        """Time that the loop waited for data; a GPU may have had work meanwhile."""
        self.stalled_seconds = 0.0
        """Time that the loop waited for checkpoints."""

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Times a validation, which does not count as training."""
        started = time.perf_counter()
        yield
        spent = time.perf_counter() - started
        self.paused_seconds += spent
        self._paused_since_log += spent

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Times waiting for data."""
        started = time.perf_counter()
        yield
        self.waited_seconds += time.perf_counter() - started

    def fed(self, batches: Iterator[T]) -> Iterator[T]:
        """The batches as they come, with each one's waiting timed."""
        while True:
            with self.waiting():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @property
    def waiting_share(self) -> float:
        """Share of the time spent waiting for data, validations not counted."""
        training = time.perf_counter() - self._began - self.paused_seconds
        return self.waited_seconds / max(training, 1e-9)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Times the part of a save that training waits for."""
        started = time.perf_counter()
        yield
        self.stalled_seconds += time.perf_counter() - started

    def passed(self, step: int, steps: int, loss: float, rate: float, seconds: float) -> None:
        """Counts a finished step over `seconds` of audio; logs a line from time to time."""
        self.steps += 1
        self.audio_seconds += seconds
        self._audio_since_log += seconds
        now = time.perf_counter()
        fewest, most = LOG_SECONDS
        due = now - self._logged_at >= min(most, max(fewest, (now - self._began) / 20))
        if due or step == steps or self.steps == 1:
            speed = self._audio_since_log / (now - self._logged_at - self._paused_since_log)
            self._log(
                f"step {step}/{steps} · loss {loss:.3f} · lr {rate:.1e} · {speed:.1f} audio s/s"
            )
            self._logged_at, self._audio_since_log, self._paused_since_log = now, 0.0, 0.0

    def summary(self, audio_seconds: float) -> str:
        """One line about this attempt, for its end.

        Args:
            audio_seconds: seconds of audio of all attempts.
        """
        whole = time.perf_counter() - self._began
        training = max(whole - self.paused_seconds, 1e-9)
        return (
            f"trained on {audio_seconds / 3600:.2f} h of audio; this attempt took {whole:.0f} s "
            f"at {self.audio_seconds / training:.1f} audio s/s, "
            f"waiting for data {self.waited_seconds / training:.1%}, "
            f"for checkpoints {self.stalled_seconds / training:.1%} of the time"
        )
