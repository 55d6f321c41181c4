"""What training reads is the same however it is read."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from jobrunner.core.models.whisper_recipe import WindowBatch
from jobrunner.core.training import feed as feeds
from jobrunner.core.training.setup import set_up
from jobrunner.spec import RunSpec
from tests.builders import stage_context


def test_batches_are_bit_equal_for_any_number_of_workers(
    finished: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for workers in (0, 1, 2):
        monkeypatch.setattr(feeds, "worker_count", lambda asked, workers=workers: workers)
        setup = set_up(stage_context(finished, tmp_path))
        steps = islice(setup.feed.steps(0, 1), 5)
        seen.append([(step, [batch for _, batch in micro]) for step, micro in steps])
    for other in seen[1:]:
        for (step, batches), (same, others) in zip(seen[0], other, strict=True):
            assert step == same
            for one, two in zip(batches, others, strict=True):
                assert isinstance(one, WindowBatch)
                assert isinstance(two, WindowBatch)
                assert torch.equal(one.features, two.features)
                assert torch.equal(one.inputs, two.inputs)
                assert torch.equal(one.labels, two.labels)
                assert one.weight == two.weight
