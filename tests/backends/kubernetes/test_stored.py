"""What storage tells of runs whose Jobs are gone, when it cannot tell anything."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobrunner import chart, names
from jobrunner import plan as plans
from jobrunner.backends.kubernetes.status import Recorded
from jobrunner.backends.kubernetes.stored import Storages, with_results
from jobrunner.errors import StorageError
from jobrunner.spec import parse

NOBODY = "http://127.0.0.1:9"


def removed(seed: int) -> Recorded:
    """A run whose Jobs were removed long ago."""
    values = {"lang": "el", "model": "whisper-tiny", "storage": "s3://speech/runs", "seed": seed}
    planned = plans.plan(parse({**values, "cluster": {"storage_endpoint": NOBODY}}))
    config_map = chart.manifests(planned)[0]
    config_map["metadata"]["annotations"] = {names.SUBMITTED_ANNOTATION: "1000.0"}
    return Recorded(config_map=config_map, now=time.time())


def test_a_storage_that_does_not_answer_holds_up_a_list_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobrunner.storage.s3_client.FIRST_PATIENCE", 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    storages, runs = Storages(), [removed(seed) for seed in range(20)]
    started = time.monotonic()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda run: with_results(run, storages), runs))

    assert [each.stored for each in found] == [frozenset()] * 20
    # One after the other, or four at a time, they would take at least 5 s.
    assert time.monotonic() - started < 5.0
    with pytest.raises(StorageError, match=NOBODY):
        storages.open(runs[0].spec)
