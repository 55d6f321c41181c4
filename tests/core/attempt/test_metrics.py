"""What a stage serves to Prometheus, scraped from a process that trains."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobrunner.core.attempt.metrics import Metrics
from jobrunner.spec import RunSpec
from jobrunner.spec.record import new_record
from jobrunner.states import Progress
from tests import builders
from tests.builders import run_id
from tests.harness.processes import CORE, SECONDS, stage_variables, until_met
from tests.harness.tiny import make_run

LABELS = {"language", "model", "stage"}


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def values(text: str) -> dict[str, float]:
    """Samples without their language, model and stage: `name` or `name{label=value}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            more = {k: v for k, v in sample.labels.items() if k not in LABELS}
            told = ",".join(f"{k}={v}" for k, v in more.items())
            found[sample.name + (f"{{{told}}}" if told else "")] = sample.value
    return found


def start(spec: RunSpec, root: Path, port: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        **stage_variables(spec, root, root / "scratch"),
        "JOBRUNNER_STAGE": "train",
        "JOBRUNNER_METRICS_PORT": str(port),
    }
    return subprocess.Popen([*CORE, "train"], env=environment, stdout=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def scraped_at(process: subprocess.Popen[str], port: int, step: int) -> str:
    """The metrics when training has come to a step, and its checkpoint is committed."""

    def scraped() -> str:
        try:
            text = scrape(port)
        except OSError:
            return ""
        found = values(text)
        arrived = found.get("jobrunner_train_step", 0) >= step
        return text if arrived and found.get("jobrunner_train_checkpoint_seconds_count", 0) else ""

    return until_met(scraped, process)


def test_a_process_that_trains_tells_prometheus_how_far_it_is(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__steps=4000, train__save_every=5, train__validate_every=20)
    port = free_port()
    first = start(spec, tmp_path, port)
    text = scraped_at(first, port, 25)
    first.terminate()
    first.communicate(timeout=SECONDS)
    second = start(spec, tmp_path, port)
    again = scraped_at(second, port, 30)
    second.kill()
    second.communicate(timeout=SECONDS)

    told = values(text)
    assert told["jobrunner_train_steps_total"] == told["jobrunner_train_step"] >= 25
    assert told["jobrunner_progress_ratio"] == pytest.approx(told["jobrunner_train_step"] / 4000)
    assert 0 < told["jobrunner_train_learning_rate"] <= spec.train.learning_rate
    assert 0 < told["jobrunner_train_loss"] < 20
    assert 0 < told["jobrunner_train_waiting_ratio"] < 1
    latest = told["jobrunner_train_validation_rate{metric=wer}"]
    assert latest >= told["jobrunner_train_best_validation_rate{metric=wer}"]
    assert told["jobrunner_audio_seconds_total"] > 0
    assert abs(told["jobrunner_train_last_step_timestamp_seconds"] - time.time()) < SECONDS
    assert abs(told["jobrunner_train_last_checkpoint_timestamp_seconds"] - time.time()) < SECONDS
    assert told["jobrunner_train_checkpoint_seconds_sum"] > 0
    assert told["jobrunner_train_dropped_clips_total{reason=over_window}"] == 0
    assert not [name for name in told if name.endswith("_created") or "resumes" in name]
    info = 'jobrunner_run_info{attempt="'
    assert info in text
    assert text.count(run_id(spec)) == 1
    # What earlier attempts did is in the gauge, and not counted twice.
    later = values(again)
    assert later["jobrunner_train_resumes_total{cause=killed}"] == 1
    assert later["jobrunner_train_steps_total"] < later["jobrunner_train_step"]


def test_a_rate_is_served_under_the_name_of_its_metric_once_that_is_known() -> None:
    metrics = Metrics(new_record(builders.spec()), "train", "a", lambda: "killed")
    # As after a checkpoint of version 0.1.0, until the next validation.
    metrics.observe(Progress(rate=0.3, best_rate=0.2))
    assert "validation_rate{" not in generate_latest(metrics.registry).decode()
    metrics.observe(Progress(metric="cer", rate=0.0, best_rate=0.2))
    served = values(generate_latest(metrics.registry).decode())
    assert served["jobrunner_train_validation_rate{metric=cer}"] == 0.0
    assert served["jobrunner_train_best_validation_rate{metric=cer}"] == 0.2
