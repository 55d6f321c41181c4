"""A real S3 server where there is one, and an empty storage of the kind that a file tests."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobrunner.storage import Storage
from tests.harness.servers.s3 import Server, binary, started

LEFT_OUT = pytest.StashKey[int]()
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("AWS_ENDPOINT_URL_S3") or binary():
        return
    gone = [i for i in items if i.path.is_relative_to(HERE) and i.get_closest_marker("s3")]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in set(gone)]
        config.stash[LEFT_OUT] = len(gone)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f"Left out: {left_out} tests against a real S3 server. "
            "Run `make cluster-up` once, or set AWS_ENDPOINT_URL_S3."
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that AWS_ENDPOINT_URL_S3 names, or one of our own; its credentials are set."""
    given = os.environ.get("AWS_ENDPOINT_URL_S3")
    if given:
        address = urlsplit(given)
        yield Server(
            host=address.hostname or "",
            port=address.port or 80,
            key=os.environ["AWS_ACCESS_KEY_ID"],
            secret=os.environ["AWS_SECRET_ACCESS_KEY"],
        )
        return
    program = binary()
    assert program
    with (
        started(program, tmp_path_factory.mktemp("s3")) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", server.key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
        patch.setenv("AWS_REGION", "us-east-1")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        yield server


@pytest.fixture(scope="session")
def bucket(s3_server: Server) -> str:
    """The URL of an empty bucket."""
    import boto3

    name = f"test-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_server.endpoint).create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture
def storage(new_storage: Callable[[], Storage]) -> Storage:
    """An empty storage."""
    return new_storage()
