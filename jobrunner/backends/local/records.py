"""The local backend's records of a run, and how a submit changes them. No I/O."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    SkipValidation,
    model_validator,
)

from jobrunner.backends import resubmit
from jobrunner.spec import RunSpec
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord, read_record, write_record
from jobrunner.states import StageStatus, State, run_state

LOST = "the supervisor ended; submit the run again to continue"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


def _read(value: Any) -> RunRecord:
    return value if isinstance(value, RunRecord) else read_record(json.dumps(value))


class LocalRun(_Record):
    """A submitted run, and how its stages are started."""

    submitted: float
    """Unix time."""
    record: Annotated[
        SkipValidation[RunRecord],
        BeforeValidator(_read),
        PlainSerializer(lambda record: json.loads(write_record(record))),
    ]
    command: tuple[str, ...]
    """Program of a stage; the stage's arguments follow."""
    grace_seconds: float
    """Time between SIGTERM and SIGKILL."""
    retry_seconds: float
    """Wait before the second attempt; doubles with each further one."""

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, given: Any) -> Any:
        """Reads runs of version 1, which have only the spec."""
        if isinstance(given, dict) and "record" not in given and "spec" in given:
            return {**given, "record": given["spec"]}
        return given

    @property
    def spec(self) -> RunSpec:
        """The run's spec."""
        return self.record.spec


class LocalAttempt(_Record):
    """One try at a stage."""

    id: str
    stage: str
    group: int = 0
    """Id of its process group; 0 before it was started."""
    started: float
    """Unix time."""
    ended: float | None = None
    exit_code: int | None = None
    archived: bool = False
    """True if its log is in storage."""


class RunState(_Record):
    """The state of a run. Its supervisor writes it, or another holder of its locks."""

    stages: tuple[StageStatus, ...] = ()
    attempts: tuple[LocalAttempt, ...] = ()
    """All attempts, oldest first."""
    prepared: tuple[str, ...] = ()
    """Languages whose speech the last successful `prepare` prepared."""

    @property
    def succeeded(self) -> set[str]:
        """Names of the stages that have succeeded."""
        return {stage.stage for stage in self.stages if stage.state is State.SUCCEEDED}

    def stage(self, name: str) -> StageStatus:
        """The state of one stage."""
        return next(stage for stage in self.stages if stage.stage == name)

    def with_stage(self, changed: StageStatus) -> RunState:
        """The state with one stage replaced."""
        return self.model_copy(
            update={
                "stages": tuple(
                    changed if stage.stage == changed.stage else stage for stage in self.stages
                )
            }
        )

    def with_attempt(self, changed: LocalAttempt) -> RunState:
        """The state with an attempt replaced, or added if it is new."""
        others = tuple(attempt for attempt in self.attempts if attempt.id != changed.id)
        if len(others) == len(self.attempts):
            return self.model_copy(update={"attempts": (*others, changed)})
        return self.model_copy(
            update={
                "attempts": tuple(
                    changed if attempt.id == changed.id else attempt for attempt in self.attempts
                )
            }
        )

    def ended_as(self, state: State, reason: str) -> RunState:
        """The state with `state` and `reason` for all stages that did not succeed or fail."""
        return self.model_copy(
            update={
                "stages": tuple(
                    stage
                    if stage.state in {State.SUCCEEDED, State.FAILED}
                    else stage.model_copy(update={"state": state, "reason": reason})
                    for stage in self.stages
                )
            }
        )


def without_supervisor(state: RunState) -> RunState:
    """The state of a run without a supervisor: stages that were live count as stopped."""
    if run_state(state.stages).ended:
        return state
    live = [
        stage
        for stage in state.stages
        if stage.state in {State.QUEUED, State.STARTING, State.RUNNING}
    ]
    for stage in live or [stage for stage in state.stages if stage.state is State.WAITING][:1]:
        lost = {"state": State.STOPPED, "reason": LOST}
        state = state.with_stage(stage.model_copy(update=lost))
    return state


def started(planned: Plan, before: RunState, lost: Collection[str] = ()) -> RunState:
    """The state in which a supervisor starts: all stages wait except those that succeeded.

    Args:
        planned: the run.
        before: its last state.
        lost: stages whose results are not whole in storage, so that they may wait too.
    """
    failed = {s.stage: s.exit_code for s in before.stages if s.state is State.FAILED}
    return _planned(planned, before, keep=(State.SUCCEEDED,), failed=failed, lost=lost)


def extended(planned: Plan, before: RunState) -> RunState:
    """The state of a live run whose plan has grown."""
    return _planned(planned, before, keep=tuple(State), failed={}, lost=())


def _planned(
    planned: Plan,
    before: RunState,
    *,
    keep: Sequence[State],
    failed: Mapping[str, int | None],
    lost: Collection[str],
) -> RunState:
    known = {stage.stage: stage for stage in before.stages}
    done = {stage.stage for stage in before.stages if stage.state is State.SUCCEEDED}
    again = resubmit.again(planned, done=done, failed=failed, prepared=before.prepared, lost=lost)
    stages = []
    for stage in planned.stages:
        old = known.get(stage.name) or StageStatus(stage=stage.name, state=State.WAITING)
        if stage.name in again or old.state not in keep:
            old = StageStatus(stage=stage.name, state=State.WAITING, attempts=old.attempts)
        stages.append(old)
    return before.model_copy(update={"stages": tuple(stages)})


def ready(planned: Plan, state: RunState) -> list[str]:
    """Waiting stages whose earlier stages have all succeeded."""
    succeeded: set[str] = set()
    found = []
    for stage in planned.stages:
        now = state.stage(stage.name).state
        free = set(stage.after) <= succeeded
        # A stage counts only when those before it do: `prepare` may run again for a run whose
        # training is done, and the new evaluations wait for it.
        if free and now is State.SUCCEEDED:
            succeeded.add(stage.name)
        elif free and now is State.WAITING:
            found.append(stage.name)
    return found
