"""The chart's values as types; its schema is generated from them."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobrunner.catalog import models, nodes
from jobrunner.errors import PERMANENT_EXIT_CODES
from jobrunner.spec import ClusterSpec, ResourcesSpec, RunSpec, names
from jobrunner.spec.plan import KINDS, Kind, Plan, Stage
from jobrunner.spec.record import write_record
from jobrunner.spec.types import Count, CountOrZero, Section, Text

# fp32 weights and the two moments of Adam: bytes that a checkpoint stores for each weight.
CHECKPOINT_BYTES_PER_WEIGHT = 12
# Seconds to finish the current step and to exit, on top of the upload.
SECONDS_TO_STOP = 30
# Seconds: nodes that shut down give a pod ten minutes at most.
LONGEST_GRACE = 600


class _Values(Section):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class StageValues(_Values):
    """The chart's values of a stage."""

    name: Text = Field(description="Unique in the run, such as `evaluate-el`.")
    kind: Kind = Field(description="Kind of the stage.")
    job: Text = Field(description="Name of the Job.")
    args: tuple[Text, ...] = Field(description="Arguments after `python -m jobrunner.core`.")
    labels: dict[str, Text] = Field(description="Labels of the Job and its pods.")
    waits: bool = Field(description="Held until another stage releases it.")
    cpu: Text = Field(description="CPU request.")
    memory: Text = Field(description="Memory request and limit.")
    gpus: CountOrZero = Field(description="GPU request and limit.")
    grace_seconds: Count = Field(description="Time between SIGTERM and SIGKILL.")


class RunValues(_Values):
    """Values that `jobrunner` gives to the chart."""

    run: Text = Field(min_length=1, description="The run id.")
    run_file: str = Field(min_length=1, description="The run's record, which becomes run.json.")
    cluster: ClusterSpec = Field(description="Place of the run on a cluster.")
    resources: ResourcesSpec = Field(description="Resources of a stage.")
    labels: dict[str, Text] = Field(description="Labels of the run's own objects.")
    stages: tuple[StageValues, ...] = Field(min_length=1, description="The stages, in order.")
    deadline_seconds: Count = Field(description="Time after which a stage is ended.")
    keep_seconds: Count = Field(description="Time after which a finished Job is removed.")
    permanent_exit_codes: tuple[Count, ...] = Field(
        min_length=1, description="Exit codes that fail the Job at once."
    )


class NodeLabel(_Values):
    """A node label with the value that marks a kind of node."""

    key: Text = Field(min_length=1, description="Label key.")
    value: Text = Field(description="Label value.")


class Variable(_Values):
    """An environment variable that comes from a Secret's key of the same name."""

    name: Text = Field(min_length=1, description="Name of variable and key.")
    optional: bool = Field(description="The Secret may lack it.")


class PodValues(_Values):
    """Values that all pods share: the second half of values.yaml."""

    user: Count = Field(description="Numeric id of the image's user and group.")
    metrics_port: Count = Field(le=65535, description="Port with Prometheus metrics.")
    scrape_seconds: Count = Field(description="Seconds between scrapes.")
    temporary: Text = Field(min_length=1, description="Size limit of /tmp.")
    annotations: dict[str, Text] = Field(description="Annotations of the pods.")
    spot_labels: tuple[NodeLabel, ...] = Field(
        min_length=1, description="Labels of nodes that can vanish."
    )
    spot_taints: tuple[Text, ...] = Field(description="Taint keys of nodes that can vanish.")
    storage_variables: tuple[Variable, ...] = Field(
        description="Variables read from the storage secret."
    )


class ChartValues(RunValues):
    """Everything that the chart accepts."""

    pod: PodValues = Field(description="Values that all pods share.")


def values(plan: Plan) -> dict[str, Any]:
    """The chart's values for a plan; `pod` comes from the chart's own values.yaml."""
    spec = plan.spec
    run_values = RunValues(
        run=plan.run,
        run_file=write_record(plan.record),
        cluster=spec.cluster,
        resources=spec.resources,
        labels=_labels(plan),
        stages=tuple(_stage(plan, stage) for stage in plan.stages),
        deadline_seconds=math.ceil(spec.cluster.deadline_hours * 3600),
        keep_seconds=math.ceil(spec.cluster.keep_hours * 3600),
        permanent_exit_codes=PERMANENT_EXIT_CODES,
    )
    return run_values.model_dump(mode="json", by_alias=True)


def _labels(plan: Plan, stage: str = "") -> dict[str, str]:
    return names.labels(plan.run, plan.spec.lang, plan.spec.model, stage)


def grace_seconds(spec: RunSpec, kind: Kind) -> int:
    """Seconds between SIGTERM and SIGKILL, in which training must upload a checkpoint.

    A model of unknown size counts as the largest preset.
    """
    if not KINDS[kind].trains:
        return SECONDS_TO_STOP
    largest = max(preset.parameters for preset in models.PRESETS.values())
    preset = models.PRESETS.get(spec.model)
    size = CHECKPOINT_BYTES_PER_WEIGHT * (preset.parameters if preset else largest)
    return min(SECONDS_TO_STOP + math.ceil(size / nodes.UPLOAD_SPEED), LONGEST_GRACE)


def schema() -> dict[str, Any]:
    """JSON schema of everything that the chart accepts: `values.schema.json`."""
    generated = ChartValues.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_untitled(generated)}


def _stage(plan: Plan, stage: Stage) -> StageValues:
    resources = plan.spec.resources
    prepares = stage.facts.on_cpu
    return StageValues(
        name=stage.name,
        kind=stage.kind,
        job=names.job_name(plan.run, stage.name),
        args=stage.args,
        labels=_labels(plan, stage.name),
        waits=bool(stage.after),
        cpu=resources.prepare_cpu if prepares else resources.cpu,
        memory=resources.prepare_memory if prepares else resources.memory,
        gpus=stage.gpus,
        grace_seconds=grace_seconds(plan.spec, stage.kind),
    )


def _untitled(part: Any) -> Any:
    """The schema without pydantic's titles, which repeat the names of the fields."""
    if isinstance(part, dict):
        return {
            key: _untitled(inner)
            for key, inner in part.items()
            if not (key == "title" and isinstance(inner, str))
        }
    return [_untitled(inner) for inner in part] if isinstance(part, list) else part
