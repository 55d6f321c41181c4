"""A whole run as a user makes it, measured in three languages, whose pods die twice on the way."""

from __future__ import annotations

import json

from kubernetes import client

from tests.harness.cluster.backend import jobrunner
from tests.harness.cluster.real_runs import SECONDS, STEPS, RealRun, RealRuns
from tests.harness.waiting import until


def test_a_run_whose_pods_die_gives_the_same_model_and_one_set_of_results(
    runs: RealRuns, undisturbed: RealRun
) -> None:
    core = client.CoreV1Api(runs.api)
    run = runs.submit(evaluate__languages="el,en,sw")

    # With grace: the pod saves and goes. Then by force, while the process may still be alive.
    for step, grace in ((4, 30), (12, 0)):
        until(lambda step=step: max(run.committed(), default=0) >= step, "", SECONDS, 0.2)  # type: ignore[misc]
        for pod in run.pods():
            if pod.status.phase == "Running":
                name = pod.metadata.name
                core.delete_namespaced_pod(name, runs.namespace, grace_period_seconds=grace)
    run.succeeded()

    stages = {stage["stage"]: stage for stage in run.status()["stages"]}
    assert set(stages) == {"prepare", "train", "evaluate-el", "evaluate-en", "evaluate-sw"}
    assert stages["train"]["progress"]["step"] == STEPS
    assert "continuing from the checkpoint of step" in run.shown()
    results = json.loads(jobrunner(runs.folder, "report", run.name, "-o", "json"))["results"]
    assert sorted(each["language"] for each in results) == ["el", "en", "sw"]
    run.trained_as(undisturbed)
