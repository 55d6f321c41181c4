"""Finds what the storage of a run lacks, for a submit of a run that exists."""

from __future__ import annotations

from collections.abc import Iterator

from jobrunner.corpora import splits
from jobrunner.errors import StorageError
from jobrunner.spec import keys
from jobrunner.spec.plan import Plan, Stage
from jobrunner.spec.run import RunSpec
from jobrunner.storage import folders


def lost(plan: Plan) -> set[str]:
    """Stages whose results are not whole in storage, judged by names and sizes.

    Empty if storage cannot be asked from here: the stages that miss a result end with `Lost`.
    """
    try:
        storage = plan.spec.open_storage()
        return {
            stage.name
            for stage in plan.stages
            if not all(folders.is_whole(storage, prefix) for prefix in _stores(plan, stage))
        }
    except StorageError:
        return set()


def _stores(plan: Plan, stage: Stage) -> Iterator[str]:
    """Prefixes of the folders that a stage stores for later ones."""
    if stage.kind == "prepare":
        yield keys.model_prefix(plan.spec)
        for language in plan.spec.languages:
            for split in _splits(plan.spec, language):
                yield keys.split_prefix(plan.spec, language, split)
    elif stage.facts.trains:
        yield keys.export_prefix(plan.run)


def _splits(spec: RunSpec, language: str) -> tuple[str, ...]:
    wanted = splits.wanted(spec, language)
    return (*wanted, "validation") if "train" in wanted else wanted
