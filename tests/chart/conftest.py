"""Cases of the chart: a spec a behaviour, rendered once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import yaml

from jobrunner import spec as specs
from jobrunner.chart import manifests
from tests import builders
from tests.harness.paths import CASES

Objects = list[dict[str, Any]]


@cache
def _rendered(case: str) -> Objects:
    values = yaml.safe_load((CASES / f"{case}.yaml").read_text())
    return manifests.manifests(builders.plan_of(specs.parse(values)))


@pytest.fixture
def objects() -> Callable[[str], Objects]:
    """The objects that `cases/NAME.yaml` gives."""
    return _rendered


@pytest.fixture
def pod() -> Callable[[str, str], dict[str, Any]]:
    """The pod template of a stage in `cases/NAME.yaml`."""

    def find(case: str, stage: str) -> dict[str, Any]:
        (job,) = [
            each
            for each in _rendered(case)
            if each["kind"] == "Job" and each["metadata"]["labels"]["jobrunner.dev/stage"] == stage
        ]
        template: dict[str, Any] = job["spec"]["template"]
        return template

    return find
