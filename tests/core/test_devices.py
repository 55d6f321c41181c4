"""The precision that a device gets: what it really has, not what it can emulate."""

from __future__ import annotations

import pytest
import torch

from jobrunner.core.devices import Precision, choose_dtype, choose_precision
from jobrunner.errors import DeviceError
from jobrunner.spec.placement import ResourcesSpec
from tests import builders
from tests.harness.hints import assert_hint

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def is_a100(including_emulation: bool = True) -> bool:
    return True


def is_t4(including_emulation: bool = True) -> bool:
    """As torch answers for a GPU that only emulates bf16."""
    return including_emulation


@pytest.mark.parametrize(
    ("has_bf16", "wanted", "chosen"),
    [
        (is_a100, "auto", "bf16"),
        (is_t4, "auto", "fp16"),
        (is_a100, "fp16", "fp16"),
        (is_t4, "fp16", "fp16"),
        (is_t4, "fp32", "fp32"),
        (is_a100, "fp32", "fp32"),
    ],
)
def test_a_gpu_computes_in_bf16_only_if_it_has_it(
    monkeypatch: pytest.MonkeyPatch, has_bf16: object, wanted: Precision, chosen: Precision
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_bf16)
    assert choose_precision(ResourcesSpec(precision=wanted), GPU) == chosen


def test_bf16_on_a_gpu_that_emulates_it_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_t4)
    wanted, other = (builders.spec(resources__precision=each) for each in ("bf16", "fp16"))
    hint = "Submit the run with --set resources.precision=fp16; it continues where it stopped."
    with pytest.raises(DeviceError, match="This GPU has no bf16") as caught:
        choose_precision(wanted.resources, GPU)
    assert_hint(hint, caught.value.hint)
    assert choose_precision(other.resources, GPU) == "fp16"
    # It continues, because it is the same run.
    assert builders.run_id(other) == builders.run_id(wanted)


@pytest.mark.parametrize(
    ("wanted", "dtype"),
    [
        ("auto", torch.float32),
        ("fp32", torch.float32),
        ("bf16", torch.bfloat16),
        ("fp16", torch.float16),
    ],
)
def test_a_cpu_computes_in_fp32_unless_another_is_asked_for(
    wanted: Precision, dtype: torch.dtype
) -> None:
    assert choose_dtype(ResourcesSpec.model_validate({"precision": wanted}), CPU) == dtype
