"""What a run is, without any I/O: its spec, its plan, and the names that follow from them."""

from jobrunner.spec.placement import ClusterSpec, ResourcesSpec
from jobrunner.spec.run import (
    DataSpec,
    EvaluateSpec,
    RunSpec,
    TrainSpec,
    canonical_json,
    field_paths,
    parse,
    parse_json,
)

__all__ = [
    "ClusterSpec",
    "DataSpec",
    "EvaluateSpec",
    "ResourcesSpec",
    "RunSpec",
    "TrainSpec",
    "canonical_json",
    "field_paths",
    "parse",
    "parse_json",
]
