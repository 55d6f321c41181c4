"""Resources and cluster: what Kubernetes or S3 would refuse later is refused here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jobrunner.errors import SpecError
from tests import builders

WRONG = {
    "cluster__image": ("foo bar", "", "{{ .Values }}", "Registry/X", "a//b", "x:tag:tag", "x@sha"),
    "cluster__storage_endpoint": ("foo", "ftp://x", "http://", "http://a b", "http://h:port"),
    "cluster__gpu_label": ("//x", "", "a b", "UPPER.example/x", "x/", "/x", "a/b/c", "x" * 64),
    "cluster__tolerations": (["a b"], [""], ["ok", "]}, {"]),
    "resources__gpu_product": ("{{ .Values }}", "a b", "-x", "x" * 64, "vendor/x"),
    "resources__memory": ("1m", "100m", "16", "999k", "1Ki"),
    "resources__shared_memory": ("8", "1m"),
    "resources__prepare_memory": ("16000m",),
    "resources__scratch": ("100",),
}
RIGHT = {
    "cluster__image": (
        *("x", "x:1", "library/x", "localhost:5000/a/b_c__d-e.f:1.0-rc1", "[::1]:5000/x"),
        f"registry.example/jobrunner:0.1.0@sha256:{'0' * 64}",
    ),
    "cluster__storage_endpoint": (
        "",
        "http://127.0.0.1:9000",
        "https://s3.example/",
        "http://[::1]",
    ),
    "cluster__gpu_label": ("nvidia.com/gpu.product", "team", "cloud.example/A_b.c-d"),
    "cluster__tolerations": ([], ["nvidia.com/gpu", "team"]),
    "resources__gpu_product": ("", "NVIDIA-A100-SXM4-80GB", "t4"),
    "resources__memory": ("16Gi", "500M", "2000000", "20000Ki"),
    "resources__cpu": ("100m", "8"),
}


def _pairs(values: Mapping[str, tuple[object, ...]]) -> list[tuple[str, object]]:
    return [(field, value) for field, each in values.items() for value in each]


@pytest.mark.parametrize(("field", "value"), _pairs(WRONG))
def test_what_would_be_refused_later_is_refused_now(field: str, value: object) -> None:
    with pytest.raises(SpecError) as caught:
        builders.spec(**{field: value})
    line = str(caught.value)
    assert line.startswith(f"{field.replace('__', '.')}: ")
    assert "validation" not in line
    assert any(word in line for word in ("is empty", "such as", "at most"))


@pytest.mark.parametrize(("field", "value"), _pairs(RIGHT))
def test_what_will_be_accepted_is_accepted(field: str, value: object) -> None:
    assert builders.spec(**{field: value})


def test_an_empty_image_is_called_empty() -> None:
    with pytest.raises(SpecError, match=r"^cluster\.image: is empty\.$"):
        builders.spec(cluster__image="")
