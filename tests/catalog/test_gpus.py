"""Every GPU is known by its node label, and a profile asks for one."""

from __future__ import annotations

import pytest

from jobrunner.catalog.gpus import GPUS, PROFILES, Gpu, peak_tflops
from jobrunner.spec import ResourcesSpec
from jobrunner.spec.paths import nested, settings


def test_products_and_profiles_are_named_once() -> None:
    assert len({gpu.product for gpu in GPUS}) == len(GPUS)
    profiles = [gpu.profile for gpu in GPUS if gpu.profile]
    assert list(PROFILES) == profiles
    assert len(set(profiles)) == len(profiles)


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu.product)
def test_the_name_of_a_kind_is_in_the_labels_of_its_products(gpu: Gpu) -> None:
    assert gpu.name in gpu.product.upper()
    assert peak_tflops(gpu.product) == gpu.peak_tflops


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_sets_fields_that_there_are_to_values_that_they_take(profile: str) -> None:
    assert PROFILES[profile].keys() <= settings().keys()
    resources = ResourcesSpec.model_validate(nested(PROFILES[profile])["resources"])
    assert resources.gpu_product in {gpu.product for gpu in GPUS}


@pytest.mark.parametrize(
    ("product", "tflops"),
    [
        ("NVIDIA-H100-PCIe", 989.0),
        ("nvidia-l40s", 362.0),
        ("NVIDIA-L4", 121.0),
        ("NVIDIA-A100-PCIE-40GB", 312.0),
        ("Tesla-T4-SHARED", 65.0),
    ],
)
def test_other_products_of_a_kind_are_as_fast(product: str, tflops: float) -> None:
    assert peak_tflops(product) == tflops


@pytest.mark.parametrize("product", ["", "AMD-MI300X", "t"])
def test_what_is_not_known_counts_as_an_a100(product: str) -> None:
    assert peak_tflops(product) == 312.0
