"""The plan of a run: its stages, and which of them releases which. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from jobrunner.spec.record import RunRecord
from jobrunner.spec.run import RunSpec
from jobrunner.spec.types import slug

Kind = Literal["prepare", "train", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class StageKind:
    """Facts about a kind of stage."""

    on_cpu: bool = False
    """True if it requests the CPUs and memory of `prepare`, and no GPU."""
    trains: bool = False
    """True if it reports optimiser steps, and saves a checkpoint after SIGTERM."""


# A new kind is a row here, a command of `core/__main__.py`, a module of the core, and a place in
# `plan`; the cluster's policies name the kinds too.
KINDS: dict[Kind, StageKind] = {
    "prepare": StageKind(on_cpu=True),
    "train": StageKind(trains=True),
    "evaluate": StageKind(),
}


def kind_of(stage: str) -> StageKind:
    """The kind of a stage by its name, such as `evaluate-el`."""
    return next((kind for name, kind in KINDS.items() if stage.startswith(name)), StageKind())


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a run: a Job on a cluster, a process on this machine."""

    name: str
    """Unique in the run: `prepare`, `train`, `evaluate-el`."""
    kind: Kind
    args: tuple[str, ...]
    """Arguments of `python -m jobrunner.core`."""
    gpus: int
    after: tuple[str, ...] = ()
    """Stages that must have succeeded before it starts."""
    language: str = ""

    @property
    def facts(self) -> StageKind:
        """Facts about its kind."""
        return KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All stages of one run; every stage comes after those it waits for."""

    record: RunRecord
    """The run."""
    stages: tuple[Stage, ...]

    @property
    def run(self) -> str:
        """The run id."""
        return self.record.run

    @property
    def spec(self) -> RunSpec:
        """The run's spec."""
        return self.record.spec

    def released_by(self, stage: str) -> tuple[Stage, ...]:
        """The stages that `stage` releases when it has succeeded."""
        return tuple(other for other in self.stages if stage in other.after)

    def releasable(self, done: Collection[str]) -> list[Stage]:
        """Stages that are not done, while all stages before them are."""
        ready = [stage for stage in self.stages if self.before(stage.name) <= set(done)]
        return [stage for stage in ready if stage.name not in done]

    def before(self, stage: str) -> frozenset[str]:
        """All stages that must have succeeded before `stage`, however far back."""
        direct = next(other.after for other in self.stages if other.name == stage)
        return frozenset(direct).union(*map(self.before, direct))


def plan(record: RunRecord) -> Plan:
    """The plan of a run: prepare → train → one evaluation per language."""
    spec = record.spec
    gpus = spec.resources.wanted_gpus
    stages = [Stage(name="prepare", kind="prepare", args=("prepare",), gpus=0)]
    last = "prepare"
    if spec.task == "fine-tune":
        stages.append(Stage(name="train", kind="train", args=("train",), gpus=gpus, after=(last,)))
        last = "train"
    for language in spec.evaluation_languages:
        stages.append(
            Stage(
                name=f"evaluate-{slug(language, 8)}",
                kind="evaluate",
                args=("evaluate", "--lang", language),
                gpus=min(gpus, 1),
                after=(last,),
                language=language,
            )
        )
    return Plan(record=record, stages=tuple(stages))
