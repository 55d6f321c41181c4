"""A cluster that fails as a whole, or is taken care of, while a real training runs.

As in test_faults.py, weights, losses and results are those of a run that was left alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from jobrunner.spec import keys, names
from tests.harness.cluster.backend import jobrunner
from tests.harness.cluster.real_runs import SECONDS, RealRun, RealRuns
from tests.harness.paths import ROOT
from tests.harness.waiting import until

pytestmark = pytest.mark.timeout(900)
OUTAGE = 60.0


@pytest.fixture
def node(api: Any, component: object) -> Iterator[str]:
    """The name of the one node, which takes pods again at the end."""
    core = client.CoreV1Api(api)
    nodes = core.list_node(label_selector="type!=kwok").items
    (name,) = [each.metadata.name for each in nodes]
    yield name
    core.patch_node(name, {"spec": {"unschedulable": False, "taints": None}})


def waits(run: RealRun, why: str) -> None:
    """Returns when the status shows that the run waits for a node, and why."""

    def shown() -> bool:
        status = run.status()
        return status["state"] == "Queued" and why in status["reason"]

    until(shown, f"it waits: {why}", SECONDS, 0.5)


def test_a_taint_that_evicts_spends_none_of_the_attempts(
    runs: RealRuns, undisturbed: RealRun, node: str
) -> None:
    run = runs.submit(hold=(7,), cluster__attempts="1")
    run.held(7)
    run.kubectl("taint", "node", node, "test=maintenance:NoExecute")
    waits(run, "untolerated taint")
    run.kubectl("taint", "node", node, "test-")

    run.release(7)
    run.ends_as(undisturbed, attempts=2)


def test_a_run_goes_on_when_its_drained_node_comes_back(
    runs: RealRuns, undisturbed: RealRun, node: str
) -> None:
    run = runs.submit(hold=(7,), cluster__attempts="1")
    run.held(7)
    ours = f"--pod-selector={names.RUN_LABEL}={run.name}"
    run.kubectl("drain", node, ours, "--delete-emptydir-data", "--timeout=120s")
    waits(run, "unschedulable")
    run.kubectl("uncordon", node)

    run.release(7)
    run.ends_as(undisturbed, attempts=2)
    assert run.status()["stages"][1]["progress"]["resumes"] == 1


@pytest.mark.parametrize("name", ["kubelet", "kube-controller-manager"])
def test_a_part_of_the_cluster_that_restarts_costs_no_attempt(
    runs: RealRuns, undisturbed: RealRun, component: Callable[[str, str], None], name: str
) -> None:
    run = runs.submit(hold=(7, 11))
    run.held(7)
    component("stop", name)
    run.release(7)
    run.held(11)
    component("start", name)

    run.release(11)
    run.ends_as(undisturbed, attempts=1)


def test_an_api_server_that_is_away_stops_neither_training_nor_release_nor_who_follows(
    runs: RealRuns, undisturbed: RealRun, component: Callable[[str, str], None]
) -> None:
    run = runs.submit(hold=(7,))
    run.held(7)
    with following(runs, run) as followed:
        until(lambda: "step 1/24" in followed.read_text(), "its lines come", SECONDS, 0.2)
        component("stop", "kube-apiserver")
        away = time.monotonic()
        run.release(7)
        export = keys.export_prefix(run.name) + "manifest.json"
        until(lambda: runs.storage.stat(export), "it is trained", SECONDS, 0.2)
        until(lambda: time.monotonic() - away >= OUTAGE, "the outage", 2 * OUTAGE, 0.2)
        assert run.results() == []
        component("start", "kube-apiserver")
        run.ends_as(undisturbed, attempts=1)

    assert followed.read_text() == jobrunner(runs.folder, "logs", run.name)
    assert "cannot release the next stage yet" in followed.read_text()


@contextmanager
def following(runs: RealRuns, run: RealRun) -> Iterator[Path]:
    """The file with what `jobrunner logs -f` prints until the run's end."""
    command = [sys.executable, "-m", "jobrunner", "logs", "--follow", run.name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    file = runs.folder / f"{run.name}.log"
    with (
        file.open("wb") as out,
        subprocess.Popen(command, cwd=runs.folder, env=environment, stdout=out) as process,
    ):
        try:
            yield file
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
