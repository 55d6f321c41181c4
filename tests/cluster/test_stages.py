"""A run of a real (very small) Whisper as the chart renders it: three Jobs, one image, S3."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from pathlib import Path

import pytest
from kubernetes import client

from jobrunner.chart import manifests
from jobrunner.runner import preflight
from jobrunner.spec import keys, names, plan
from jobrunner.storage import open_storage
from tests import builders
from tests.harness.paths import EXAMPLES, MICRO
from tests.harness.processes import CORE, stage_variables
from tests.harness.waiting import until

SECRET = "AWS_SECRET_ACCESS_KEY"


@pytest.fixture
def run(prepared: str, bucket: str, storage_secret: str, stage_image: str) -> plan.Plan:
    """A plan of 20 steps, sized for a node without a GPU."""
    spec = builders.spec(
        model=str(MICRO),
        storage=f"{bucket}/runs",
        data__source=f"folder:{EXAMPLES}/speech",
        train={
            "steps": 20,
            "warmup_steps": 5,
            "save_every": 10,
            "validate_every": 10,
            "validation_utterances": 8,
            "batch_seconds": 72.0,
        },
        evaluate__max_utterances=8,
        resources={
            "device": "cpu",
            **dict.fromkeys(("cpu", "prepare_cpu"), "200m"),
            **dict.fromkeys(("memory", "prepare_memory"), "2Gi"),
            "scratch": "2Gi",
            "shared_memory": "256Mi",
        },
        cluster={
            "namespace": prepared,
            "image": stage_image,
            "storage_endpoint": os.environ.get("AWS_ENDPOINT_URL_S3", ""),
            "storage_secret": storage_secret,
        },
    )
    return builders.plan_of(preflight.resolve(spec))


@pytest.fixture
def shared(run: plan.Plan, tmp_path: Path) -> None:
    """Model and speech in storage: their folders are on this machine and not in any pod."""
    environment = {**os.environ, **stage_variables(run.spec, tmp_path)}
    subprocess.run([*CORE, "prepare"], env=environment, check=True)


def ended(batch: client.BatchV1Api, name: str, namespace: str) -> str:
    """`Complete`, `Failed`, or nothing yet."""
    conditions = batch.read_namespaced_job(name, namespace).status.conditions or ()
    return next((c.type for c in conditions if c.type in {"Complete", "Failed"}), "")


def shown(api: client.ApiClient, run: plan.Plan) -> str:
    """States, reasons and logs of all pods of the run."""
    core, namespace = client.CoreV1Api(api), run.spec.cluster.namespace
    lines = []
    for pod in core.list_namespaced_pod(namespace).items:
        lines.append(f"{pod.metadata.name}: {pod.status.phase} {pod.status.container_statuses}")
        if pod.status.phase != "Pending":
            lines.append(core.read_namespaced_pod_log(pod.metadata.name, namespace))
    lines += [event.message for event in core.list_namespaced_event(namespace).items]
    return "\n".join(lines)


def test_the_rendered_jobs_train_and_measure_a_model_on_s3(
    api: client.ApiClient, run: plan.Plan, shared: None
) -> None:
    namespace = run.spec.cluster.namespace
    batch = client.BatchV1Api(api)
    text = manifests.render(run)
    assert os.environ[SECRET] not in text
    subprocess.run(["kubectl", "apply", "-f", "-"], input=text, text=True, check=True)
    for stage in run.stages:
        # Only the first one runs; each later one is released by the one before.
        state = until(
            partial(ended, batch, names.job_name(run.run, stage.name), namespace),
            what=lambda: shown(api, run),
            seconds=240,
            every=0.5,
        )
        assert state == "Complete", shown(api, run)
    assert os.environ[SECRET] not in shown(api, run)

    storage = open_storage(run.spec.storage)
    found = [entry.key for entry in storage.list(keys.run_prefix(run.run))]
    committed = [key for key in found if key.endswith("/COMMIT")]
    assert [keys.checkpoint_step(run.run, key) for key in committed] == [20]
    assert keys.export_prefix(run.run) + "model.safetensors" in found
    for model in ("base", "tuned"):
        place = (run.run, model, run.spec.data.source.name, "el")
        assert keys.predictions_file(*place) in found
        assert json.loads(storage.read(keys.result_file(*place)))
