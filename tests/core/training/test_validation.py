"""What is measured while a model trains."""

from __future__ import annotations

from pathlib import Path

from jobrunner.core.data.dataset import Dataset
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.validation import Validation
from jobrunner.spec import RunSpec, keys
from tests.builders import stage_context
from tests.harness.stored import storage_of


def test_validation_uses_the_same_clips_on_each_attempt(finished: RunSpec, tmp_path: Path) -> None:
    clips = []
    for _ in range(2):
        context = stage_context(finished, tmp_path)
        clips.append(Validation(context, set_up(context))._clips)
    assert clips[0] == clips[1]
    assert len(clips[0]) == 3
    data = keys.data_prefix(finished, finished.lang)
    whole = Dataset.open(storage_of(finished), data, tmp_path).utterances("validation")
    assert set(clips[0]) < set(whole)
