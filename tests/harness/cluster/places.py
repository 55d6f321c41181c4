"""Objects that tests create on a cluster: a namespace, a bucket, credentials, and images, once."""

from __future__ import annotations

import fcntl
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.waiting import until

SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@contextmanager
def new_namespace(api: Any) -> Iterator[str]:
    """A namespace that admits restricted pods only."""
    from kubernetes import client

    core, name = client.CoreV1Api(api), f"test-{uuid.uuid4().hex[:10]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": name, "labels": labels}})
    try:
        # Until its account is there, the API server refuses its pods.
        until(lambda: core.list_namespaced_service_account(name).items, "its account", 60)
        yield name
    finally:
        core.delete_namespace(name)


@contextmanager
def new_bucket() -> Iterator[str]:
    """The URL of an empty bucket on the cluster's S3 server."""
    import boto3

    name = f"test-{uuid.uuid4().hex[:12]}"
    resource = boto3.resource("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))
    region = os.environ.get("AWS_REGION", "us-east-1")
    # AWS wants to hear of every region but the first.
    location = {} if region == "us-east-1" else {"LocationConstraint": region}
    more = {"CreateBucketConfiguration": location} if location else {}
    bucket = resource.create_bucket(Bucket=name, **more)
    try:
        yield f"s3://{name}"
    finally:
        bucket.objects.delete()
        bucket.delete()


def new_storage_secret(api: Any, namespace: str) -> str:
    """The name of a Secret with the credentials of the S3 server."""
    from kubernetes import client

    data = {name: os.environ[name] for name in SECRETS if os.environ.get(name)}
    body = {"metadata": {"name": "storage"}, "stringData": data}
    client.CoreV1Api(api).create_namespaced_secret(namespace, body)
    return "storage"


def once(name: str, make: Callable[[], str]) -> str:
    """The result of `make`, called by the first of several processes that test at the same time."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    folder = Path(tempfile.gettempdir()) / "jobrunner-tests"
    folder.mkdir(exist_ok=True)
    result = folder / f"{name}-{session}"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            result.write_text(make())
    return result.read_text()
