"""`render`: the manifests of a run, which nothing is done with."""

from __future__ import annotations

import json

import yaml

from tests.harness.commandline import Jobrunner

S3 = ("--storage", "s3://speech/runs")


def test_render_prints_the_manifests_that_a_dry_run_speaks_of(jobrunner: Jobrunner) -> None:
    first, second = (jobrunner("render", "--lang", "no", *S3) for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert first.out == second.out
    documents = list(yaml.safe_load_all(first.out))
    kinds = [document["kind"] for document in documents]
    assert kinds[0] == "ConfigMap"
    assert kinds.count("Job") == 3
    assert json.loads(documents[0]["data"]["run.json"])["spec"]["lang"] == "no"
