"""What training works with: equal bits on several threads, and the clips that can be used."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from jobrunner.core.models import whisper
from jobrunner.core.models.whisper_recipe import WhisperRecipe, WindowBatch
from jobrunner.core.training.setup import make_accelerator, set_up
from tests import builders
from tests.builders import stage_context
from tests.harness.paths import MICRO
from tests.harness.tiny import make_run, narrowed

TIMES = 12


@pytest.fixture
def _two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_two_threads")
def test_the_same_batch_gives_the_same_gradients_on_two_threads() -> None:
    spec = builders.spec(resources__device="cpu", resources__gpus=0)
    accelerator = make_accelerator(spec.resources)
    model = whisper.load(MICRO, spec, accelerator.device, torch.float32, train=spec.train)
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 1700, (16, 40), generator=random)
    batch = WindowBatch(
        features=torch.randn(16, 80, model.recipe.features.frames, generator=random),
        inputs=labels.roll(1, dims=1),
        labels=labels,
        heard=torch.full((16,), model.recipe.features.frames),
        weight=labels.numel(),
    )
    seen = set()
    for _ in range(TIMES):
        model.module.zero_grad()
        torch.autograd.backward(model.loss(batch))
        seen.add(
            b"".join(
                p.grad.numpy().tobytes() for p in model.module.parameters() if p.grad is not None
            )
        )
    assert len(seen) == 1


def test_clips_that_do_not_fit_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(tmp_path)
    narrowed(monkeypatch, positions=24)
    monkeypatch.setattr(WhisperRecipe, "longest_seconds", property(lambda self: 1.0))
    setup = set_up(stage_context(spec, tmp_path / "scratch"))
    clips = setup.dataset.utterances("train")
    long = [clip for clip in clips if clip.seconds > 1.0]
    wordy = [clip for clip in clips if clip not in long and len(clip.text.encode()) > 20]
    assert setup.dropped["over_window"] == len(long) > 0
    assert setup.dropped["over_tokens"] == len(wordy) > 0
    [step] = islice(setup.feed.order.steps(0, 0), 1)
    assert len(setup.feed.order.epoch(0)) >= 1
    assert step.weight <= 24 * len(step.units)
