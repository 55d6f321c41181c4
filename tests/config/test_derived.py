"""A node's share of cores and memory follows from the GPUs."""

from __future__ import annotations

import pytest

from jobrunner.config.derived import derived


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"resources.gpus": 8}, ("64", "384Gi", "64Gi")),
        (
            {"resources.gpus": 2, "resources.gpu_product": "NVIDIA-A100-SXM4-80GB"},
            ("16", "192Gi", "16Gi"),
        ),
        ({"resources.gpu_product": "NVIDIA-L4"}, ("6", "24Gi", "8Gi")),
    ],
)
def test_a_node_s_share_follows_from_the_gpus_unless_it_is_given(
    given: dict[str, object], expected: tuple[str, str, str]
) -> None:
    names = [f"resources.{name}" for name in ("cpu", "memory", "shared_memory")]
    found = derived(given)
    assert tuple(found[name][0] for name in names) == expected
    assert "resources.memory" not in derived({**given, "resources.memory": "500Gi"})
