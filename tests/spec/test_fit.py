"""Each preset on each GPU: what is accepted fits, and what is refused really does not."""

from __future__ import annotations

import json

import pytest

from jobrunner.catalog.dimensions import DIMENSIONS, of_config
from jobrunner.catalog.gpus import GPUS, PROFILES, find, memory_gib
from jobrunner.catalog.models import PRESETS
from jobrunner.errors import SpecError
from jobrunner.spec import RunSpec
from jobrunner.spec.fit import ENOUGH_WINDOWS, check, cost_of, estimate, usable
from jobrunner.spec.memory import CONTEXT, GIB
from tests import builders
from tests.harness.hints import hinted
from tests.harness.paths import MICRO

ON_GPUS = [(name, gpu.product) for name in PRESETS for gpu in GPUS]


def spec_of(name: str, product: str, **changes: object) -> RunSpec:
    lang = "en" if name.endswith(".en") else "el"
    return builders.spec(model=name, lang=lang, resources__gpu_product=product, **changes)


@pytest.mark.parametrize(("name", "product"), ON_GPUS)
def test_what_is_accepted_fits_with_a_margin_and_what_is_refused_does_not(
    name: str, product: str
) -> None:
    spec, sizes, gpu = spec_of(name, product), DIMENSIONS[name], find(product)
    assert gpu is not None
    whole, hints = gpu.memory_gib * GIB, []
    try:
        found = check(spec, sizes)
    except SpecError as error:
        # Weights, gradients and two moments in fp32 are 16 bytes a weight, and the copies in bf16
        # 2: before any window.
        assert 18 * sizes.weights + CONTEXT > 0.97 * whole
        hints.append(error.hint)
        found = None
    if found is None:
        assert hints[0].startswith("What fits: ")
        return
    changing = found.bytes - found.cost.fixed - CONTEXT
    assert found.bytes + 0.08 * changing <= whole
    assert found.windows >= 1
    # `auto` recomputes only where too few windows would fit.
    plain = cost_of(spec, sizes, checkpointing=False)
    needed = plain.planned(ENOUGH_WINDOWS, sizes.seconds, sizes.tokens)
    assert found.cost.checkpointing == (needed > usable(gpu.memory_gib))


def test_only_the_largest_models_are_refused_by_a_profile() -> None:
    refused = []
    for name in PRESETS:
        for profile, values in PROFILES.items():
            try:
                check(spec_of(name, values["resources.gpu_product"]), DIMENSIONS[name])
            except SpecError:
                refused.append((name, profile))
    assert refused == [
        ("whisper-large", "l4"),
        ("whisper-large-v2", "l4"),
        ("whisper-large-v3", "l4"),
    ]


def test_a_frozen_encoder_and_recomputing_need_less() -> None:
    sizes = DIMENSIONS["whisper-large-v3"]
    whole = spec_of("whisper-large-v3", "NVIDIA-L4")
    frozen = spec_of("whisper-large-v3", "NVIDIA-L4", train__freeze_encoder=True)
    taken = [cost_of(spec, sizes, checkpointing=True).fixed for spec in (whole, frozen)]
    assert taken[0] == 16 * sizes.weights
    # 16 bytes for each of the decoder's weights, 2 for each of the encoder's matrices.
    held = taken[1] - 16 * sizes.decoder_weights
    assert 2.0 < held / sizes.encoder_weights < 2.02
    assert check(frozen, sizes) is not None


def test_where_no_option_helps_a_smaller_model_does() -> None:
    slice_ = "NVIDIA-H200-MIG-1g.1gb"
    with hinted("Choose a smaller model.", SpecError):
        check(spec_of("whisper-small", slice_), DIMENSIONS["whisper-small"], profiles=False)
    small = of_config(json.loads((MICRO / "config.json").read_bytes()))
    found = check(spec_of(str(MICRO), slice_), small, profiles=False)
    assert found is not None
    assert found.fits


def test_seconds_that_are_given_limit_the_windows() -> None:
    sizes = DIMENSIONS["whisper-small"]
    spec = spec_of("whisper-small", "NVIDIA-H200", resources__device_seconds=90.0)
    found = estimate(spec, sizes)
    assert found is not None
    assert found.windows == 3
    assert not found.cost.checkpointing


def test_a_run_on_no_gpu_has_no_estimate_and_one_on_an_unknown_gpu_the_least() -> None:
    sizes = DIMENSIONS["whisper-small"]
    assert estimate(builders.spec(resources__device="cpu"), sizes) is None
    found = estimate(builders.spec(), sizes)
    assert found is not None
    assert (found.gib, found.windows, found.cost.checkpointing) == (None, 1, True)


def test_memory_is_known_by_the_product_or_by_its_label() -> None:
    assert memory_gib("NVIDIA-L4") == 22.0
    assert memory_gib("NVIDIA-A100-PCIE-40GB") == pytest.approx(39.2)
    assert memory_gib("Tesla-V100-SXM2-16GB") == pytest.approx(15.7, abs=0.1)
    assert memory_gib("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb") == pytest.approx(39.2)
    assert memory_gib("NVIDIA-GeForce-RTX-4090") is None
