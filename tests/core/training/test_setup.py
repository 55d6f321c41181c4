"""Equal bits on several threads, with a model large enough for torch to share its work out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from jobrunner import spec as specs
from jobrunner.core.models import whisper
from jobrunner.core.training.setup import make_accelerator
from tests.harness.paths import MICRO

TIMES = 12


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def test_the_same_batch_gives_the_same_gradients_on_two_threads() -> None:
    spec = specs.parse({"lang": "el", "resources": {"device": "cpu", "gpus": 0}})
    accelerator = make_accelerator(spec.resources)
    model = whisper.load(MICRO, spec, accelerator.device, torch.float32, train=spec.train)
    random = torch.Generator().manual_seed(1)
    batch = whisper.Batch(
        features=torch.randn(16, 80, model.frames, generator=random),
        labels=torch.randint(0, 1700, (16, 40), generator=random),
    )
    seen = set()
    for _ in range(TIMES):
        model.model.zero_grad()
        torch.autograd.backward(model.loss(batch))
        seen.add(
            b"".join(
                p.grad.numpy().tobytes() for p in model.model.parameters() if p.grad is not None
            )
        )
    assert len(seen) == 1
