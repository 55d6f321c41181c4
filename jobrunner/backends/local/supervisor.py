"""The process that takes one run through its stages: queue, start, retry, stop, record.

It holds the run's locks as long as it lives, so no other process works on the run meanwhile.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Any

from jobrunner.backends.local import attempts, gpus, locks
from jobrunner.backends.local import records as states
from jobrunner.backends.local.attempts import Running, say
from jobrunner.backends.local.devices import CPU, DeviceQueue, Ticket, Wait
from jobrunner.backends.local.folder import RunFolder
from jobrunner.backends.local.locks import Lock
from jobrunner.errors import PERMANENT_EXIT_CODES, DeviceError, JobrunnerError, StorageError
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Stage
from jobrunner.states import State

# Seconds between looks at processes, the queue and the request to stop.
INTERVAL = 0.1
# Seconds between looks at a long queue, at most.
LONGEST_LOOK = 5.0
# Seconds to wait before the next attempt, at most.
LONGEST_WAIT = 60.0


class Supervisor:
    """Takes one run from its current state to its end.

    Args:
        folder: the run's files.
        own: the lock that shows that a supervisor is alive.
        shared: the lock that its stages inherit.
        place: the lock of the run's place in the queue for devices.
    """

    def __init__(self, folder: RunFolder, *, own: Lock, shared: Lock, place: Lock) -> None:
        self._folder = folder
        self._own = own
        self._shared = shared
        self._place = place
        self._devices = DeviceQueue(folder.state_directory / "devices")
        self._version = folder.record_version()
        self._submitted = folder.submitted()
        self._plan = plans.plan(self._submitted.record)
        self._state = self._saved = folder.state()
        self._tickets: dict[str, Ticket] = {}
        self._running: dict[str, Running] = {}
        self._tries: Counter[str] = Counter()
        self._next_try: dict[str, float] = {}
        self._last_failure: dict[str, str] = {}
        self._next_look: dict[str, float] = {}
        self._stop: tuple[State, str] | None = None
        self._kill_at = 0.0
        self._terminated = False

    def run(self) -> None:
        """Runs the stages; returns when the run has ended and its last state is saved."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        now = time.time()
        for attempt in self._state.attempts:
            if attempt.ended is None:
                # The attempt died with its supervisor.
                ended = attempt.model_copy(update={"ended": now})
                self._state = self._state.with_attempt(ended)
        self._queue_ready()
        self._devices.give_up(self._place, self._folder.run, submitted=self._submitted.submitted)
        self._archive()
        while not (self._step() and self._finish()):
            time.sleep(INTERVAL)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def _step(self) -> bool:
        """Does all that can be done now; True if nothing is left to do."""
        self._grow()
        self._look_for_stop()
        finished = [name for name, running in self._running.items() if self._has_ended(running)]
        # The next stage queues before the last one's devices are free, so that an older run
        # continues before a younger one starts.
        self._queue_ready()
        for name in finished:
            self._running.pop(name).claim.release()
        self._take_devices()
        self._note_output()
        self._save()
        return not (self._running or self._tickets or self._next_try)

    def _finish(self) -> bool:
        """Ends the run, unless a submit has added stages meanwhile or the disk is full."""
        self._archive()
        submits = locks.take(self._folder.submit_lock)
        if self._stop:
            self._state = self._state.ended_as(*self._stop)
        else:
            self._grow()
        self._save()
        if self._state != self._saved or (not self._stop and self._ready()):
            submits.close()
            return False
        say("the run has ended")
        self._own.close()
        self._shared.close()
        submits.close()
        return True

    def _grow(self) -> None:
        """Adds stages that a submit has added to the live run."""
        version = self._folder.record_version()
        if version != self._version:
            self._version = version
            try:
                self._submitted = self._folder.submitted()
            except JobrunnerError as error:
                # A newer client submitted: that does not end the running stage.
                say(f"the last submit is ignored: {error}")
                return
            self._plan = plans.plan(self._submitted.record)
            self._state = states.extended(self._plan, self._state)

    def _ready(self) -> list[str]:
        return states.ready(self._plan, self._state)

    def _look_for_stop(self) -> None:
        if self._stop is None and (self._terminated or self._folder.cancel_marker.exists()):
            self._stop = (State.CANCELLED, "cancelled")
            if self._terminated:
                self._stop = (
                    State.STOPPED,
                    "the supervisor was stopped; submit the run again to continue",
                )
                # Makes a submit wait for the end and then continue the run.
                with contextlib.suppress(StorageError):
                    self._folder.mark_cancelled()
            self._kill_at = time.monotonic() + self._submitted.grace_seconds
            self._next_try.clear()
            for ticket in self._tickets.values():
                self._devices.leave(ticket)
            self._tickets.clear()
            for running in self._running.values():
                running.process.terminate()
        if self._stop and time.monotonic() > self._kill_at:
            for running in self._running.values():
                running.process.kill()

    def _has_ended(self, running: Running) -> bool:
        code = running.process.poll()
        if code is None:
            return False
        stage = running.stage
        say(f"{stage.name} ended with exit code {code}")
        ended = running.attempt.model_copy(update={"ended": time.time(), "exit_code": code})
        self._state = self._state.with_attempt(ended)
        self._archive()
        if code:
            self._failed(stage, code, attempts.why(self._folder, ended, code))
            return True
        self._set(stage, state=State.SUCCEEDED, reason="", exit_code=0, ended=time.time())
        if stage.kind == "prepare":
            self._state = states.extended(
                self._plan, self._state.model_copy(update={"prepared": running.languages})
            )
        shutil.rmtree(self._folder.scratch(stage.name), ignore_errors=True)
        return True

    def _failed(self, stage: Stage, code: int, reason: str) -> None:
        tries, most = self._tries[stage.name], self._submitted.spec.cluster.attempts
        state = State.FAILED
        if self._stop:
            state, reason = self._stop
        elif code not in PERMANENT_EXIT_CODES and tries < most:
            state = State.QUEUED
            wait = min(LONGEST_WAIT, self._submitted.retry_seconds * 2 ** (tries - 1))
            self._next_try[stage.name] = time.monotonic() + wait * random.uniform(0.5, 1.0)
            self._last_failure[stage.name] = f"attempt {tries} of {most} failed: {reason}"
            reason = f"attempt {tries} of {most} failed and is repeated: {reason}"
        self._set(stage, state=state, reason=reason, exit_code=code, ended=time.time())

    def _queue_ready(self) -> None:
        if self._stop:
            return
        now = time.monotonic()
        due = [name for name, when in self._next_try.items() if when <= now]
        for place, stage in enumerate(self._plan.stages):
            if stage.name in {*self._ready(), *due}:
                self._next_try.pop(stage.name, None)
                self._queue(stage, place)

    def _queue(self, stage: Stage, place: int) -> None:
        slots: Sequence[str] = (CPU,)
        try:
            if stage.gpus:
                slots = [gpu.id for gpu in gpus.visible()]
                gpus.check(len(slots), stage.gpus)
        except DeviceError as error:
            self._set(stage, state=State.FAILED, reason=str(error), exit_code=error.exit_code)
            return
        self._set(stage, state=State.QUEUED)
        self._next_look.pop(stage.name, None)
        try:
            self._tickets[stage.name] = self._devices.enter(
                self._folder.run,
                submitted=self._submitted.submitted,
                place=place,
                slots=slots,
                count=max(stage.gpus, 1),
            )
        except StorageError as error:
            self._set(stage, state=State.QUEUED, reason=str(error))
            self._next_try[stage.name] = time.monotonic() + self._submitted.retry_seconds

    def _take_devices(self) -> None:
        for stage in self._plan.stages:
            ticket = self._tickets.get(stage.name)
            if ticket is None:
                continue
            if time.monotonic() < self._next_look.get(stage.name, 0.0):
                continue
            claim = self._devices.take(ticket)
            if isinstance(claim, Wait):
                self._set(stage, state=State.QUEUED, reason=claim.reason)
                # Stages further back look less often: a look takes time in proportion to the
                # queue's length, so the work of all stays in proportion to their number.
                wait = min(LONGEST_LOOK, INTERVAL * claim.before)
                self._next_look[stage.name] = time.monotonic() + wait
                continue
            del self._tickets[stage.name]
            self._tries[stage.name] += 1
            try:
                running = attempts.start(self._folder, self._submitted, stage, claim, self._shared)
            except StorageError as error:
                claim.release()
                self._failed(stage, error.exit_code, str(error))
                continue
            self._started(running)

    def _started(self, running: Running) -> None:
        stage, attempt = running.stage, running.attempt
        self._running[stage.name] = running
        self._state = self._state.with_attempt(attempt)
        before = self._state.stage(stage.name)
        self._set(
            stage,
            state=State.STARTING,
            reason=self._last_failure.get(stage.name, ""),
            attempts=before.attempts + 1,
            started=before.started or attempt.started,
            ended=None,
            exit_code=None,
        )
        say(f"{stage.name} started as process {running.process.pid}, attempt {attempt.id}")

    def _note_output(self) -> None:
        """Marks stages as running once they have written something; before, they are loading."""
        for name, running in self._running.items():
            if self._state.stage(name).state is State.STARTING and self._folder.has_spoken(
                running.attempt
            ):
                self._set(running.stage, state=State.RUNNING)

    def _set(self, stage: Stage, **changes: Any) -> None:
        before = self._state.stage(stage.name)
        self._state = self._state.with_stage(before.model_copy(update=changes))

    def _archive(self) -> None:
        self._state = attempts.archived(self._folder, self._submitted, self._state)

    def _save(self) -> None:
        """Saves the state; on a full disk it is kept in memory until there is room."""
        if self._state == self._saved:
            return
        try:
            self._folder.save_state(self._state)
        except StorageError as error:
            say(str(error))
            return
        self._saved = self._state
