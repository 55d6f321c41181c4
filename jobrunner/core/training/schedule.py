"""Finds the numbers of training that follow from the data and the model, once for each run.

They are functions of what `prepare` stored, and the first attempt stores them with the run: a later
attempt reads them there, so a resumed run ends where it would have, whatever became of the data.
"""

from __future__ import annotations

import json
from dataclasses import replace

from jobrunner.catalog import models, rates
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data import layout
from jobrunner.core.data.layout import SAMPLE_RATE
from jobrunner.errors import NotFound
from jobrunner.spec import TrainSpec, keys, schedule
from jobrunner.spec.identity import canonical_json
from jobrunner.storage import Storage, folders


def scheduled(context: StageContext) -> StageContext:
    """The context with every number of training in its spec; the first attempt stores them.

    Raises:
        Lost: speech or base model are missing or damaged in storage.
        StorageError: storage refused.
    """
    train = context.spec.train
    if train.is_exact and train.learning_rate:
        return context
    key = keys.schedule_file(context.run)
    found = stored(context.storage, context.run, train)
    if found is None:
        first = schedule.applied(train, seconds=_seconds(context), rate=usual_rate(context))
        context.storage.create(key, canonical_json(_differing(first, train)).encode())
        found = stored(context.storage, context.run, train) or first
        context.log(_line(found, train))
    return _with(context, found)


def as_scheduled(context: StageContext) -> StageContext:
    """The context with the numbers that its training stored; as it is if there are none."""
    found = stored(context.storage, context.run, context.spec.train)
    return _with(context, found) if found else context


def stored(storage: Storage, run: str, train: TrainSpec) -> TrainSpec | None:
    """The options of a run with the numbers that its first attempt stored; None before that."""
    try:
        numbers = json.loads(storage.read(keys.schedule_file(run)))
        return TrainSpec.model_validate({**train.model_dump(), **numbers})
    except (NotFound, ValueError, TypeError, RecursionError):
        return None


def usual_rate(context: StageContext) -> float:
    """The usual learning rate of the run's base model, from its config in storage."""
    prefix = keys.model_prefix(context.spec)
    try:
        rate = rates.of_config(context.storage.read(f"{prefix}config.json"))
    except NotFound:
        raise folders.not_stored(f"{prefix}config.json") from None
    return models.for_adapters(rate) if context.spec.train.lora_rank else rate


def _with(context: StageContext, train: TrainSpec) -> StageContext:
    spec = context.spec.model_copy(update={"train": train})
    return replace(context, record=replace(context.record, spec=spec))


def _differing(train: TrainSpec, before: TrainSpec) -> dict[str, object]:
    values, others = train.model_dump(mode="json"), before.model_dump(mode="json")
    return {name: value for name, value in values.items() if value != others[name]}


def _seconds(context: StageContext) -> float:
    """Seconds of prepared training speech.

    Raises:
        Lost: it is missing or damaged.
    """
    prefix = keys.data_prefix(context.spec, context.spec.lang)
    manifest = layout.read_manifest(context.storage, prefix, "train")
    if manifest is None:
        raise folders.not_stored(layout.manifest_key(prefix, "train"))
    return float(manifest["samples"] / SAMPLE_RATE)


def _line(train: TrainSpec, before: TrainSpec) -> str:
    why = "" if before.is_exact else f" ({before.epochs:g} epochs)"
    if before.steps == train.steps and not before.is_exact:
        why = f", the most, for fewer than {before.epochs:g} epochs"
    return (
        f"{train.steps:,} steps{why}, learning rate {train.learning_rate:g} after "
        f"{train.warmup_steps:,} steps of warm-up, validated every {train.validate_every:,}"
    )
