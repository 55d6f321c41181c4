"""The definition of a run, without any I/O: its spec, its plan, and the names of its parts."""

from jobrunner.spec.parsing import parse
from jobrunner.spec.placement import ClusterSpec, ResourcesSpec
from jobrunner.spec.run import RunSpec
from jobrunner.spec.source import DataSpec, Source
from jobrunner.spec.train import EvaluateSpec, TrainSpec

__all__ = [
    "ClusterSpec",
    "DataSpec",
    "EvaluateSpec",
    "ResourcesSpec",
    "RunSpec",
    "Source",
    "TrainSpec",
    "parse",
]
