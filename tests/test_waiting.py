"""A server that accepts and never answers is named after two seconds of silence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KUBECONFIG = """
current-context: here
contexts: [{name: here, context: {cluster: one}}]
clusters: [{name: one, cluster: {server: "%s"}}]
"""


@contextmanager
def _silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _first_line(*typed: str, **variables: str) -> str:
    """The first line on stderr of a command, which is ended then."""
    command = [sys.executable, "-m", "jobrunner", *typed]
    known = {n: v for n, v in os.environ.items() if not n.startswith(("JOBRUNNER_", "XDG_"))}
    environment = {**known, **variables}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            return process.stderr.readline()
        finally:
            process.kill()


@pytest.mark.timeout(60)
def test_the_api_server_that_is_waited_for_is_named(tmp_path: Path) -> None:
    with _silent_server() as server:
        (tmp_path / "config").write_text(KUBECONFIG % server)
        line = _first_line("list", KUBECONFIG=str(tmp_path / "config"), HOME=str(tmp_path))
    assert line == f"Waiting for the API server at {server} to answer.\n"


@pytest.mark.timeout(60)
def test_the_s3_server_that_is_waited_for_is_named(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "KUBECONFIG": os.devnull}
    keys["HOME"] = str(tmp_path)
    with _silent_server() as server:
        typed = ("report", "--storage", "s3://bucket/runs")
        line = _first_line(*typed, **keys, AWS_ENDPOINT_URL_S3=server)
    assert line == f"Waiting for the S3 server {server} to answer.\n"
