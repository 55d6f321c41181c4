"""The chart against the real `helm` and a real API server, and `k8s/` with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from jobrunner import spec as specs
from jobrunner.chart import documents, manifests
from jobrunner.chart.values import values
from jobrunner.spec import plan
from tests import builders
from tests.harness.paths import CASES, ROOT

FILES = sorted(CASES.glob("*.yaml"))
# Its texts are there to break out of their strings; Kubernetes refuses them as names.
ACCEPTED = [case for case in FILES if case.stem != "hostile"]
KUSTOMIZATIONS = ["base", "user", "overlays/kueue", "overlays/spot"]


def _plan(case: Path, **cluster: Any) -> plan.Plan:
    given = yaml.safe_load(case.read_text())
    given["cluster"] = {**given.get("cluster", {}), **cluster}
    return builders.plan_of(specs.parse(given))


def _run(*command: str | Path, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_cases() -> None:
    assert len(ACCEPTED) >= 10


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.stem)
def test_helm_gives_the_same_objects_as_the_engine_in_process(case: Path, tmp_path: Path) -> None:
    run = _plan(case)
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values(run)))
    place = ("--namespace", run.spec.cluster.namespace, "--values", str(file))
    text = _run("helm", "template", run.run, manifests.chart_folder(), *place)
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in documents.load(text)}
    objects = manifests.manifests(run)
    assert [by_name.pop((each["kind"], each["metadata"]["name"])) for each in objects] == objects
    assert by_name == {}


def test_helm_finds_nothing_wrong_with_the_chart(tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values(_plan(FILES[0]))))
    _run("helm", "lint", "--strict", manifests.chart_folder(), "--values", file)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.stem)
def test_the_api_server_takes_every_object(
    case: Path, namespace: str, api: client.ApiClient
) -> None:
    run = _plan(case, namespace=namespace, monitor=False)
    # Of a Job, restricted pod security only warns that its pods would be refused: an error here.
    warn = {"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted"}}}
    client.CoreV1Api(api).patch_namespace(namespace, warn)
    command = ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict"]
    output = _run(*command, "--warnings-as-errors", "-f", "-", text=manifests.render(run))
    assert len(output.splitlines()) == len(run.stages) + 1


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_kustomize_builds(folder: str) -> None:
    objects = documents.load(_run("kubectl", "kustomize", ROOT / "k8s" / folder))
    assert len(objects) >= 4
    quotas = [each for each in objects if each["kind"] == "ResourceQuota"]
    counts_gpus = ["requests.nvidia.com/gpu" in each["spec"]["hard"] for each in quotas]
    assert counts_gpus == {"user": [], "overlays/kueue": [False]}.get(folder, [True])


def test_the_public_storage_component_adds_one_policy(tmp_path: Path) -> None:
    kustomization = {
        "resources": [os.path.relpath(ROOT / "k8s/base", tmp_path)],
        "components": [os.path.relpath(ROOT / "k8s/components/public-storage", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
    objects = documents.load(_run("kubectl", "kustomize", tmp_path))
    names = [each["metadata"]["name"] for each in objects if each["kind"] == "NetworkPolicy"]
    assert "allow-public-storage" in names


@pytest.mark.parametrize("folder", ["base", "user"])
def test_the_api_server_takes_the_prerequisites(folder: str, api: client.ApiClient) -> None:
    _run("kubectl", "apply", "--server-side", "--force-conflicts", "-k", ROOT / "k8s" / folder)
