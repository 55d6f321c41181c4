"""Runs that cannot start: the cause is named at once, and waiting for them ends."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from jobrunner.cli.follow import finish
from jobrunner.errors import ClusterError
from jobrunner.runner.api import Runner
from tests.harness.cluster.backend import ClusterHarness, jobrunner
from tests.harness.waiting import until

# Demands that cannot be met, and a pattern of the message: it fits clusters of any size.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "an image with a typo": (
        {"cluster": {"image": "localhost/jobrunner-typo:1"}},
        "prepare: the image localhost/jobrunner-typo:1 cannot be pulled",
    ),
    "a missing Secret": (
        {"cluster": {"storage_secret": "missing"}},
        'prepare: the container cannot start: secret "missing" not found',
    ),
    "more GPUs than any node has": (
        {"resources": {"device": "cuda", "gpus": 64}},
        r"train: no node of \d+ fits: .*\d+ Insufficient nvidia.com/gpu",
    ),
    "an exhausted quota": (
        {"resources": {"prepare_cpu": "2"}},
        "prepare: the cluster refuses its pod: exceeded quota: small",
    ),
}
# Seconds within which the message must appear.
SOON = 30.0
START_TIMEOUT = 5.0


@pytest.mark.parametrize("case", CASES)
def test_what_keeps_a_run_from_starting_is_named_and_waiting_ends(
    harness: ClusterHarness, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    changes, pattern = CASES[case]
    if "quota" in case:
        quota = {"metadata": {"name": "small"}, "spec": {"hard": {"requests.cpu": "1"}}}
        client.CoreV1Api(harness.api).create_namespaced_resource_quota(harness.namespace, quota)
    plan = harness.plan(**changes)
    harness.backend.submit(plan)
    if pattern.startswith("train"):
        watched = harness.backend.watch(plan.run, timeout=harness.seconds)
        next(status for status in watched if status.stages[0].state == "Succeeded")
    begun = time.monotonic()

    with pytest.raises(ClusterError, match=f"did not start within {START_TIMEOUT:g} s: ") as caught:
        finish(
            Runner(harness.backend), plan.run, show=False, timeout=None, start_timeout=START_TIMEOUT
        )

    assert caught.value.exit_code == 3
    assert re.search(pattern, str(caught.value))
    assert time.monotonic() - begun < SOON + START_TIMEOUT
    stage, _, reason = pattern.partition(": ")
    assert f"{stage}: " in capsys.readouterr().err
    assert re.search(reason, harness.backend.status(plan.run).reason)
    # A list reads no events, which alone tell of a quota.
    listed = "has no pod; see `jobrunner status RUN`" if "quota" in case else reason
    until(
        lambda: re.search(listed, harness.backend.list()[0].reason),
        f"the list shows: {listed}",
        SOON,
    )


def test_submit_and_wait_from_the_command_line_ends_with_code_3(
    harness: ClusterHarness, tmp_path: Path
) -> None:
    fields = {
        "storage": f"{harness.bucket}/runs",
        "resources.device": "cpu",
        "resources.prepare_cpu": "50m",
        "resources.prepare_memory": "256Mi",
        "cluster.namespace": harness.namespace,
        "cluster.image": "localhost/jobrunner-typo:1",
        "cluster.storage_secret": "storage",
        "cluster.storage_endpoint": os.environ.get("AWS_ENDPOINT_URL_S3", ""),
    }
    options = [part for name, value in fields.items() for part in ("--set", f"{name}={value}")]
    spec = ("--lang", "el", "--model", "whisper-tiny", *options)

    run = jobrunner(tmp_path, "submit", *spec, "--wait", "--start-timeout", "3", code=3).strip()

    shown = jobrunner(tmp_path, "status", run, "-n", harness.namespace)
    assert "prepare: the image localhost/jobrunner-typo:1 cannot be pulled" in shown
    assert jobrunner(tmp_path, "list", "-o", "name", "-n", harness.namespace).split() == [run]
    assert jobrunner(tmp_path, "list", "--local", "-o", "name") == ""
    assert jobrunner(tmp_path, "delete", run, "-y", "-n", harness.namespace).strip() == run
    assert jobrunner(tmp_path, "list", "-o", "name", "-n", harness.namespace) == ""
