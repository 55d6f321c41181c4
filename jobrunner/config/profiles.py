"""Profiles that come with the project: what each kind of GPU node is called and can hold.

`device_seconds` is sized for the largest model, so that no preset runs out of memory; smaller
models can take more (`--set resources.device_seconds=…`). Products are the labels that NVIDIA's
GPU feature discovery gives.
"""

from __future__ import annotations

from typing import Any

BUILT_IN: dict[str, dict[str, Any]] = {
    "a100-80gb": {
        "resources.gpu_product": "NVIDIA-A100-SXM4-80GB",
        "resources.device_seconds": 960.0,
        "resources.memory": "96Gi",
    },
    "a100-40gb": {
        "resources.gpu_product": "NVIDIA-A100-SXM4-40GB",
        "resources.device_seconds": 480.0,
    },
    "h100": {
        "resources.gpu_product": "NVIDIA-H100-80GB-HBM3",
        "resources.device_seconds": 960.0,
        "resources.memory": "96Gi",
    },
    "l4": {
        "resources.gpu_product": "NVIDIA-L4",
        "resources.device_seconds": 240.0,
        "resources.cpu": "6",
        "resources.memory": "24Gi",
    },
}
