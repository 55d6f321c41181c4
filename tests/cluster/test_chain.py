"""A whole run as a user makes it: his configuration, a real (very small) Whisper, pods, S3."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cluster_bench
import pytest
import safetensors.torch
import torch
from cluster_bench import jobrunner
from kubernetes import client

from jobrunner import config, names
from jobrunner.backends.kubernetes.backend import KubernetesBackend
from jobrunner.runner import Runner
from jobrunner.storage import Storage, open_storage

ROOT = Path(__file__).parent.parent.parent
SECONDS = 600.0
COMMAND = ("env", "OMP_NUM_THREADS=1", "tini", "--", "python", "-m", "jobrunner.core")
SPEC = """
storage = "{bucket}/runs"
backend = "kubernetes"
[data]
source = "folder:{root}/examples/speech"
[train]
steps = 24
warmup_steps = 5
save_every = 4
validate_every = 12
validation_utterances = 8
batch_seconds = 72
[evaluate]
languages = ["el", "en", "sw"]
max_utterances = 6
[resources]
device = "cpu"
cpu = "200m"
prepare_cpu = "200m"
memory = "2Gi"
prepare_memory = "2Gi"
scratch = "2Gi"
shared_memory = "256Mi"
[cluster]
namespace = "{namespace}"
image = "{image}"
storage_endpoint = "{endpoint}"
storage_secret = "storage"
"""


@pytest.fixture
def folder(
    api: Any, namespace: str, bucket: str, storage_secret: str, stage_image: str, tmp_path: Path
) -> Path:
    """A folder with a jobrunner.toml for the cluster."""
    cluster_bench.grant(api, namespace)
    text = SPEC.format(
        bucket=bucket,
        root=ROOT,
        namespace=namespace,
        image=stage_image,
        endpoint=os.environ.get("AWS_ENDPOINT_URL_S3", ""),
    )
    (tmp_path / "jobrunner.toml").write_text(text)
    return tmp_path


def until(condition: Callable[[], Any], what: Callable[[], str]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.5)
    return found


def steps(storage: Storage, run: str) -> set[int]:
    """Steps with a committed checkpoint."""
    keys = [entry.key for entry in storage.list(names.checkpoints_prefix(run))]
    return {names.checkpoint_step(run, key) or 0 for key in keys if key.endswith("/COMMIT")}


def submitted(folder: Path, *, model: str, again: str = "0", languages: str = "el,en,sw") -> str:
    """Submits the run that `jobrunner submit` would; gives its id.

    Its pods compute with one thread: with more, PyTorch's sums on a CPU differ in their last bits
    from run to run, whether anything happens to the run or not.
    """
    flags = {"lang": "el", "model": model, "again": again, "evaluate.languages": languages}
    typed = [config.Flag(origin="test", path=path, text=text) for path, text in flags.items()]
    spec = config.load(flags=typed, config=str(folder / "jobrunner.toml")).spec()
    backend = KubernetesBackend(spec.cluster.namespace, command=COMMAND)
    return Runner(backend).submit(spec).run


def weights(storage: Storage, run: str) -> dict[str, torch.Tensor]:
    exported = storage.read(names.export_prefix(run) + "model.safetensors")
    found: dict[str, torch.Tensor] = safetensors.torch.load(exported)
    return found


def test_a_run_whose_pods_die_gives_the_same_model_and_one_set_of_results(
    api: Any, namespace: str, bucket: str, folder: Path
) -> None:
    core, storage = client.CoreV1Api(api), open_storage(f"{bucket}/runs")
    model = str(ROOT / "examples/whisper-micro")
    run = submitted(folder, model=model)
    # The same once more, undisturbed, and without the evaluations that take their time.
    other = submitted(folder, model=model, again="1", languages="el")

    def told() -> str:
        return jobrunner(folder, "status", run) + jobrunner(folder, "logs", run)

    def train_pods() -> list[Any]:
        selector = f"{names.RUN_LABEL}={run},{names.STAGE_LABEL}=train"
        pods = core.list_namespaced_pod(namespace, label_selector=selector).items
        return [pod for pod in pods if pod.status.phase == "Running"]

    # With grace: the pod saves and goes. Then by force, while the process may still be alive.
    for step, grace in ((4, 30), (12, 0)):
        until(lambda step=step: max(steps(storage, run), default=0) >= step, told)  # type: ignore[misc]
        for pod in train_pods():
            core.delete_namespaced_pod(pod.metadata.name, namespace, grace_period_seconds=grace)

    def ended(name: str) -> Any:
        found = json.loads(jobrunner(folder, "status", name, "-o", "json"))
        return found if found["state"] in {"Succeeded", "Failed"} else None

    state = until(lambda: ended(run), told)
    assert state["state"] == "Succeeded", told()
    assert until(lambda: ended(other), told)["state"] == "Succeeded"

    stages = {stage["stage"]: stage for stage in state["stages"]}
    assert set(stages) == {"prepare", "train", "evaluate-el", "evaluate-en", "evaluate-sw"}
    assert stages["train"]["progress"]["step"] == 24
    assert "going on from the checkpoint of step" in told()
    results = json.loads(jobrunner(folder, "report", run, "-o", "json"))["results"]
    assert sorted(each["language"] for each in results) == ["el", "en", "sw"]
    expected, found = weights(storage, other), weights(storage, run)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
