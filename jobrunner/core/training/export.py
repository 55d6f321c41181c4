"""Publishes the best model in Hugging Face form, with a model card and a training summary."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch

from jobrunner.catalog import models
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.core.checkpoint.train_state import TrainState
from jobrunner.core.training import content
from jobrunner.core.training.setup import Setup
from jobrunner.errors import CheckpointError, StorageError, Superseded
from jobrunner.reports.modelcard import model_card
from jobrunner.spec import keys
from jobrunner.storage import folders, verify


def publish_best(
    context: StageContext, setup: Setup, checkpoints: Checkpoints, state: TrainState
) -> None:
    """Exports the model of the best validation, and the history of all steps.

    Raises:
        StorageError: storage refused.
        Superseded: another attempt is training this run.
    """
    step = _load_best(context, setup, checkpoints, state)
    folder = context.scratch / f"{context.run}-export-{context.attempt}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        write_export(context, setup, state, step, folder)
        checkpoints.claim.check()
        context.storage.write(keys.history_file(context.run), state.to_json()[1])
        prefix = keys.export_prefix(context.run)
        # Every evaluation rewrites the card.
        folders.publish(context.storage, prefix, folder, changing=[keys.CARD])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    context.log(f"exported the model of step {step} to {keys.export_prefix(context.run)}")


def free_checkpoints(context: StageContext, checkpoints: Checkpoints, state: TrainState) -> None:
    """Deletes the checkpoints that `keep_checkpoints` does not keep, if the export is sound.

    Without any checkpoint, nothing but a training from the start could replace a damaged export;
    so before that each file of it is read back. Whatever fails here leaves checkpoints, no more.
    """
    keep = context.spec.keep_checkpoints
    if keep == "all":
        return
    try:
        prefix = keys.export_prefix(context.run)
        wrong = verify.problems(context.storage, prefix, deep=keep == "none")
        if wrong:
            context.log(f"all checkpoints stay: {wrong[0]}")
            return
        kept = (state.step, state.best_step) if keep == "last" else ()
        deleted = checkpoints.keep_only(kept)
    except (StorageError, Superseded) as error:
        context.log(f"all checkpoints stay for now: {error}")
        return
    if deleted:
        context.log(f"deleted {deleted} checkpoint{'s' * (deleted > 1)}: the export is verified")


def _load_best(
    context: StageContext, setup: Setup, checkpoints: Checkpoints, state: TrainState
) -> int:
    """Puts the best weights that are there into the model; returns their step."""
    best = state.best_step
    if best is None or best == state.step:
        return state.step
    there = {best, *checkpoints.committed()}
    ranked = [step for step in state.ranked() if step in there or step == state.step]
    for step, following in itertools.zip_longest(ranked, ranked[1:]):
        if step == state.step:
            break
        try:
            path = checkpoints.fetch_part(step, keys.WEIGHTS)
        except CheckpointError as error:
            last = following in {None, state.step}
            instead = "last model" if last else f"next best one, of step {following},"
            context.log(f"{error} The {instead} is exported instead.")
            continue
        content.load_weights(setup, safetensors.torch.load_file(path))
        shutil.rmtree(path.parent, ignore_errors=True)
        return step
    return state.step


def write_export(
    context: StageContext, setup: Setup, state: TrainState, step: int, folder: Path
) -> None:
    """Writes the export to a folder, in the base model's own precision."""
    setup.model.export(folder)
    (folder / keys.TRAINING).write_text(
        json.dumps(_summary(context, setup, state, step), indent=1, ensure_ascii=False)
    )
    family = models.family_in((folder / "config.json").read_bytes(), shown=str(folder))
    card = model_card(context.record, [], family)
    (folder / keys.CARD).write_text(card, encoding="utf-8")


def _summary(context: StageContext, setup: Setup, state: TrainState, step: int) -> dict[str, Any]:
    """The training summary, without times, so that equal runs have equal exports."""
    losses = [record["loss"] for record in state.history if record.get("loss") is not None]
    # Validations of 0.1.0 do not name their metric.
    validations = [record for record in state.history if {"metric", "wer"} & record.keys()]
    spec = context.spec
    return {
        "run": context.run,
        "spec": spec.model_dump(mode="json", exclude={"storage", "resources", "cluster"}),
        "versions": state.versions,
        "steps": state.step,
        "exported_step": step,
        "stopped_early": state.stopped_early,
        "audio_hours": round(state.audio_seconds / 3600, 4),
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "validations": validations,
        "skipped_steps": state.health.get("skipped", 0),
        "dropped_clips": dict(setup.dropped),
    }
