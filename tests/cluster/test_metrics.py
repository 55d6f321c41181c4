"""Metrics of running pods, scraped and queried by a real Prometheus (Debian's)."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client

from jobrunner.core.attempt.metrics import Metrics
from jobrunner.spec.record import new_record
from jobrunner.states import Progress
from tests import builders
from tests.harness.cluster.backend import ClusterHarness
from tests.harness.waiting import until

Query = Callable[[str], list[dict[str, Any]]]


def targets(api: Any, namespace: str) -> list[dict[str, Any]]:
    """Running pods by the annotations that the chart gives them.

    They are reached through the API server, which works on any cluster. Debian builds Prometheus
    without its own look at Kubernetes.
    """
    found = []
    for pod in client.CoreV1Api(api).list_namespaced_pod(namespace).items:
        annotations = pod.metadata.annotations or {}
        if annotations.get("prometheus.io/scrape") == "true" and pod.status.phase == "Running":
            pod_path = f"{pod.metadata.name}:{annotations['prometheus.io/port']}/proxy"
            path = (
                f"/api/v1/namespaces/{namespace}/pods/{pod_path}{annotations['prometheus.io/path']}"
            )
            address = urlsplit(api.configuration.host).netloc
            found.append({"targets": [address], "labels": {"__metrics_path__": path}})
    return found


def configuration(api: Any, folder: Path) -> dict[str, Any]:
    access = api.configuration
    trust = {
        "ca_file": access.ssl_ca_cert,
        "cert_file": access.cert_file,
        "key_file": access.key_file,
    }
    scrape = {
        "job_name": "jobrunner",
        "scrape_interval": "1s",
        "scheme": "https",
        "tls_config": {name: file for name, file in trust.items() if file},
        "file_sd_configs": [{"files": [f"{folder}/targets.json"], "refresh_interval": "1s"}],
    }
    if token := access.get_api_key_with_prefix("BearerToken"):
        scrape["authorization"] = {"credentials": token.removeprefix("Bearer ")}
    return {"scrape_configs": [scrape]}


@pytest.fixture
def prometheus(api: Any, namespace: str, tmp_path: Path) -> Iterator[Query]:
    """Asks a Prometheus that scrapes the pods of the namespace."""
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration(api, tmp_path)))
    log = (tmp_path / "log").open("w+")
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:39090",
    ]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def query(text: str) -> list[dict[str, Any]]:
        whole = tmp_path / "targets.new"
        whole.write_text(json.dumps(targets(api, namespace)))
        whole.rename(tmp_path / "targets.json")
        assert process.poll() is None, (tmp_path / "log").read_text()
        url = f"http://127.0.0.1:39090/api/v1/query?query={urllib.parse.quote(text)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except OSError:
            return []  # it is starting

    yield query
    process.terminate()
    process.wait()
    log.close()


def test_prometheus_finds_a_running_stage_and_knows_how_far_it_is(
    harness: ClusterHarness, prometheus: Query
) -> None:
    harness.hold("train")
    plan = harness.plan()
    harness.backend.submit(plan)

    found = until(
        lambda: prometheus('jobrunner_progress_ratio{stage="train"} == 0.5'),
        "the progress of the training stage",
        harness.seconds,
    )

    assert [(r["metric"]["language"], r["metric"]["model"]) for r in found] == [
        ("el", "whisper-tiny")
    ]
    (info,) = prometheus('jobrunner_run_info{stage="train"}')
    assert info["metric"]["run"] == plan.run
    assert info["metric"]["attempt"] == harness.begun("train").attempt
    assert not prometheus('{run!="",__name__!="jobrunner_run_info"}')
    assert not prometheus('{__name__=~"jobrunner_.*_created"}')
    harness.release("train")
    harness.ended(plan.run)


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    record = new_record(builders.spec(model="whisper-tiny"))
    metrics = Metrics(record, "train", "attempt", lambda: "killed")
    stop = metrics.serve(0)
    try:
        progress = Progress(done=0.5, step=1, loss=1.0, learning_rate=1e-4, updated=1.0)
        metrics.observe(
            progress.model_copy(update={"metric": "wer", "rate": 0.5, "best_rate": 0.4})
        )
        for what in ("checkpoint", "skip", "resume", "drop"):
            metrics.count(what, 1.0, "over_window")
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        stop()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert record.run in text
    assert "jobrunner_train_validation_rate{" in text
