"""One layer's graphs serve all layers, all lengths and all numbers of windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from jobrunner.core.models import whisper
from jobrunner.core.models.whisper_compile import MOST_GRAPHS, compile_layers
from tests import builders
from tests.core.models.test_whisper_loss import batch_of
from tests.harness.tiny import make_whisper

# torch looks at the gradients of what it traces, and warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")

LENGTHS = (4, 8, 12, 24)
WINDOWS = (5, 4, 3)


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def encoder_of(layers: int) -> Any:
    config = WhisperConfig(
        d_model=16,
        encoder_layers=layers,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        max_source_positions=24,
    )
    config._attn_implementation = "sdpa"
    return WhisperEncoder(config).train()


def through(encoder: Any, windows: int, length: int) -> torch.Tensor:
    states: torch.Tensor = torch.ones(windows, length, 16) * encoder.layer_norm.weight
    for layer in encoder.layers:
        states = layer(states, None)
    return states


def test_each_length_has_one_graph_whatever_the_number_of_windows() -> None:
    encoder, counter = encoder_of(3), CompileCounter()
    compile_layers(encoder.layers, counter)
    for length in LENGTHS:
        for windows in WINDOWS:
            torch.autograd.backward(through(encoder, windows, length).sum())
    assert counter.frame_count == len(LENGTHS)
    # A single window is the one exception.
    through(encoder, 1, LENGTHS[0])
    assert counter.frame_count == len(LENGTHS) + 1
    assert 2 * (len(LENGTHS) + 1) <= MOST_GRAPHS


def test_validation_is_not_compiled() -> None:
    encoder, counter = encoder_of(2), CompileCounter()
    compile_layers(encoder.layers, counter)
    with torch.no_grad():
        through(encoder.eval(), 7, 24)
    with torch.inference_mode():
        through(encoder, 2, 24)
    assert counter.frame_count == 0


def test_a_compiled_model_learns_the_same(tmp_path: Path) -> None:
    folder = make_whisper(tmp_path / "tiny")
    gradients = []
    for compiled in (False, True):
        model = whisper.load(folder, builders.spec(model="./tiny"), "cpu", torch.float32)
        model.module.train()
        if compiled:
            compile_layers(model.module.model.encoder.layers, "aot_eager")
        torch.autograd.backward(model.loss(batch_of(model)))
        named = model.module.named_parameters()
        gradients.append({n: p.grad for n, p in named if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_the_switch_compiles_the_layers_and_the_weights_keep_their_names(tmp_path: Path) -> None:
    folder = make_whisper(tmp_path / "tiny")
    model = whisper.load(folder, builders.spec(model="./tiny"), "cpu", torch.float32)
    before = list(model.module.state_dict())
    model.compile()
    assert list(model.module.state_dict()) == before
    layers = model.module.model.encoder.layers
    assert all(layer._compiled_call_impl is not None for layer in layers)
    assert model.module.model.decoder._compiled_call_impl is None
