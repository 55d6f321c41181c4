"""The part of a spec that determines the result, and its digest.

Only a submit computes the digest of a run; afterwards it is data (see `record.py`). Since version
2, only values that differ from the version's defaults count, so a field added later changes no
known run. Version 1 counted all of its fields: they are listed here and never change, so that its
runs and prepared data keep their names. Later fields count as in version 2.

A folder counts by its fingerprint, so the same files elsewhere make the same run.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from jobrunner.catalog import models
from jobrunner.spec.run import RunSpec
from jobrunner.spec.source import Source

_RUN = {"lang", "model", "model_revision", "task", "seed", "again"}
_DATA_OF_VERSION_1 = {
    *("audio_column", "text_column", "speaker_column"),
    *("train_split", "validation_split", "test_split", "holdout", "min_seconds"),
}
_TRAIN_OF_VERSION_1 = {
    *("steps", "learning_rate", "warmup_steps", "batch_seconds", "pack_probability"),
    *("weight_decay", "max_grad_norm", "dropout", "spec_augment", "freeze_encoder"),
    *("save_every", "validate_every", "validation_utterances", "patience"),
}

# Options of training that change no result.
_WITHOUT_EFFECT = {"save_minutes"}


def digest(spec: RunSpec) -> str:
    """SHA-256 (hex) of the fields that determine the result of a run."""
    return hashlib.sha256(canonical_json(of_run(spec)).encode()).hexdigest()


def of_run(spec: RunSpec) -> dict[str, Any]:
    """The fields that determine the result of a run, not where or how it runs."""
    trains = spec.task == "fine-tune"
    first = spec.version == 1
    fields = spec.model_dump(mode="json", include=_RUN, exclude_defaults=not first)
    if models.is_folder(spec.model):
        fields["model"] = "folder"
    fields["data"] = of_data(spec)
    if first:
        train = spec.train.model_dump(mode="json", include=_TRAIN_OF_VERSION_1)
        later = spec.train.model_dump(
            mode="json", exclude=_TRAIN_OF_VERSION_1, exclude_defaults=True
        )
        return {**fields, "train": {**train, **later} if trains else None}
    if trains:
        fields["train"] = spec.train.model_dump(
            mode="json", exclude_defaults=True, exclude=_WITHOUT_EFFECT
        )
    return {**fields, "version": spec.version}


def of_data(spec: RunSpec) -> dict[str, Any]:
    """The fields that determine prepared speech."""
    data, source = spec.data, spec.data.source
    if spec.version == 1:
        fields = data.model_dump(mode="json", include=_DATA_OF_VERSION_1)
        text = source.kind if source.is_pinned else source.text
        return {**fields, "source": text, "revision": source.revision}
    fields = data.model_dump(mode="json", exclude={"sources"}, exclude_defaults=True)
    return {**fields, "sources": [_of_source(each) for each in data.sources]}


def _of_source(source: Source) -> dict[str, Any]:
    fields = source.model_dump(mode="json", exclude_defaults=True)
    if source.is_pinned:
        fields.pop("place", None)
    return fields


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, the form that is hashed for digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
