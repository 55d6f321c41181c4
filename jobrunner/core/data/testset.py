"""The utterances of one language for an evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from jobrunner.catalog.languages import Language
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data import layout
from jobrunner.core.data.dataset import Dataset
from jobrunner.core.data.layout import Utterance
from jobrunner.spec import keys
from jobrunner.spec.identity import canonical_json


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """The utterances of one language to evaluate on."""

    language: Language
    dataset: Dataset
    utterances: list[Utterance]
    digest: str
    """SHA-256 (hex) that stands for the split: names and digests of its index and shards."""
    commit: str = ""
    """Commit of the hub that it is of; empty for files of a machine."""


def open_test_set(context: StageContext, language: Language) -> TestSet:
    """Opens the prepared test split of a language, limited to the spec's `max_utterances`."""
    prefix = keys.data_prefix(context.spec, language.code)
    dataset = Dataset.open(context.storage, prefix, context.scratch, language=language.code)
    utterances = dataset.utterances("test")
    manifest = layout.read_manifest(context.storage, prefix, "test") or {}
    content = canonical_json({key: manifest.get(key) for key in ("index", "shards")})
    return TestSet(
        language=language,
        dataset=dataset,
        utterances=evenly_spaced(utterances, context.spec.evaluate.max_utterances),
        digest=hashlib.sha256(content.encode()).hexdigest(),
        commit=str(manifest.get("commit", "")),
    )


def evenly_spaced(utterances: Sequence[Utterance], number: int) -> list[Utterance]:
    """`number` utterances spread over all, because neighbours share speakers; 0 means all."""
    if not number or number >= len(utterances):
        return list(utterances)
    return [utterances[i * len(utterances) // number] for i in range(number)]
