"""How long a spot node lives after its notice."""

from __future__ import annotations

import pytest

from jobrunner.catalog.nodes import notice_seconds


@pytest.mark.parametrize(
    ("node", "seconds"),
    [
        ("gke-speech-a100-4f1c9d2e-x7kp", 25.0),
        ("gk3-autopilot-nap-1abc-9", 25.0),
        ("aks-gpu-12345678-vmss000002", 25.0),
        ("ip-10-0-31-7.eu-west-1.compute.internal", 120.0),
        ("i-0123456789abcdef0.us-west-2.compute.internal", 120.0),
        ("node-7.example.org", 25.0),
        ("", 25.0),
    ],
)
def test_the_notice_follows_from_the_name_of_the_node(node: str, seconds: float) -> None:
    assert notice_seconds(node) == seconds
