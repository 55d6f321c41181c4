"""Resources and cluster: parts of the spec that do not count for the run's id."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jobrunner.spec.types import (
    AudioSecondsOrZero,
    Bytes,
    CountOrZero,
    Endpoint,
    Gpus,
    Image,
    LabelKey,
    LabelValue,
    ObjectName,
    Quantity,
    Section,
    Workers,
)

# Ten years: Kubernetes counts the seconds of a TTL in 32 bits.
Hours = Annotated[float, Field(gt=0, le=87_600)]


class ResourcesSpec(Section):
    """Resources of a stage. Not part of the run's id: a run continues on other devices."""

    device: Literal["auto", "cuda", "cpu"] = Field(
        "auto",
        description="`cpu` trains on the CPU; otherwise a missing GPU is an error.",
    )
    gpus: Gpus = Field(1, description="GPUs of the training stage.")
    gpu_product: LabelValue = Field(
        "",
        description="Exact GPU product, such as `NVIDIA-A100-SXM4-80GB`; empty: any.",
    )
    device_seconds: AudioSecondsOrZero = Field(
        0.0,
        description="Seconds of audio that one device takes at a time, the rest accumulates; "
        "0: as many as its memory holds.",
    )
    activation_checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Keeps less in memory and computes it twice; `auto`: where fewer than four "
        "windows would fit at a time.",
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="`auto`: bf16 where the GPU has it, fp16 with scaled gradients on other GPUs "
        "(V100, T4), fp32 on the CPU.",
    )
    compile: bool = Field(False, description="Compiles the encoder with torch.compile.")
    workers: Workers = Field(
        0,
        description="Processes that load data for each GPU; 0: one less than its share of the "
        "cores, 8 at most.",
    )
    cpu: Quantity = Field("8", description="CPU request of GPU stages.")
    memory: Bytes = Field("48Gi", description="Memory of GPU stages.")
    shared_memory: Bytes = Field("8Gi", description="Size of /dev/shm.")
    prepare_cpu: Quantity = Field("8", description="CPU request of `prepare`.")
    prepare_memory: Bytes = Field("16Gi", description="Memory of `prepare`.")
    scratch: Bytes = Field("100Gi", description="Local disk for shards and models.")

    @property
    def wanted_gpus(self) -> int:
        """GPUs that training uses; 0 on the CPU."""
        return 0 if self.device == "cpu" else self.gpus


class ClusterSpec(Section):
    """Place of the run on a cluster. Not part of the run's id."""

    namespace: Annotated[ObjectName, Field(min_length=1)] = Field(
        "jobrunner", description="Namespace of the run's objects."
    )
    image: Image = Field(
        "ghcr.io/jobrunner/jobrunner:0.1.0",
        description="The one image, better with its digest.",
    )
    image_pull_secret: ObjectName = Field("", description="Secret to pull the image with.")
    storage_secret: ObjectName = Field(
        "", description="Secret with AWS variables; empty: workload identity."
    )
    hub_secret: ObjectName = Field("", description="Secret with HF_TOKEN, for `prepare` only.")
    storage_endpoint: Endpoint = Field("", description="S3 endpoint; empty: AWS.")
    service_account: ObjectName = Field(
        "jobrunner-stage",
        description="Service account of stages; another one needs the Role jobrunner-stage too.",
    )
    gpu_label: LabelKey = Field("nvidia.com/gpu.product", description="Node label of the product.")
    tolerations: tuple[LabelKey, ...] = Field(
        ("nvidia.com/gpu",),
        strict=False,
        description="Taint keys that GPU stages tolerate.",
    )
    priority_class: ObjectName = Field("", description="Priority class of the pods.")
    queue: ObjectName = Field("", description="Kueue LocalQueue; empty: no Kueue.")
    spot: bool = Field(False, description="Allows nodes that can vanish.")
    spot_grace_seconds: CountOrZero = Field(
        0,
        description="Seconds that a spot node has left after its notice; 0: by the node's name, "
        "120 on AWS, 25 on GKE, Azure and elsewhere.",
    )
    attempts: Annotated[int, Field(ge=1, le=1000)] = Field(
        4, description="Tries of a stage; disruptions do not count."
    )
    deadline_hours: Hours = Field(72.0, description="A stage is ended after this many hours.")
    keep_hours: Hours = Field(72.0, description="Finished Jobs are removed after this many hours.")
    monitor: bool = Field(False, description="Adds a PodMonitor for the Prometheus operator.")
