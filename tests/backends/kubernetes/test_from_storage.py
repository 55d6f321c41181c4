"""What storage tells of runs whose Jobs are gone, when it cannot tell anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from jobrunner.backends.kubernetes.from_storage import Storages, with_results
from jobrunner.backends.kubernetes.snapshot import Snapshot
from jobrunner.chart import manifests
from jobrunner.errors import StorageError
from jobrunner.spec import names
from tests import builders


@contextmanager
def silent_server() -> Iterator[tuple[str, list[int]]]:
    """A server that closes each connection at once: its URL, and one entry for each."""
    met: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, address = listener.accept()
                    met.append(address[1])
                    client.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", met
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def removed(seed: int, endpoint: str) -> Snapshot:
    """A run whose Jobs were removed long ago."""
    planned = builders.plan(model="whisper-tiny", seed=seed, cluster__storage_endpoint=endpoint)
    config_map = manifests.manifests(planned)[0]
    config_map["metadata"]["annotations"] = {names.SUBMITTED_ANNOTATION: "1000.0"}
    return Snapshot(config_map=config_map, now=time.time())


def test_a_storage_that_does_not_answer_holds_up_a_list_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobrunner.storage.s3_client.FIRST_PATIENCE", 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with silent_server() as (endpoint, met):
        storages, runs = Storages(), [removed(seed, endpoint) for seed in range(20)]
        assert with_results(runs[0], storages).stored == frozenset()
        asked = len(met)
        assert asked

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda run: with_results(run, storages), runs))
        assert [each.stored for each in found] == [frozenset()] * 20
        with pytest.raises(StorageError, match=endpoint):
            storages.open(runs[0].spec)
        assert len(met) == asked
