"""Errors of S3, and a storage that works once their hints were followed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import botocore.auth
import pytest

from jobrunner.errors import StorageError, StorageFull
from jobrunner.storage import probe
from jobrunner.storage.local import LocalStorage
from jobrunner.storage.s3 import S3Storage
from tests.harness.hints import hinted
from tests.harness.servers.faulty_proxy import GOOD, Fault, Proxy, proxied
from tests.harness.servers.https import certificates
from tests.harness.servers.portal import log_in, portal
from tests.harness.servers.s3 import Server, binary, started

pytestmark = pytest.mark.s3


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    with proxied(s3_server.host, s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def place(bucket: str) -> str:
    return f"{bucket}/{uuid.uuid4().hex}"


def _works(place: str, endpoint: str) -> None:
    probe(S3Storage(place, endpoint=endpoint, patience=20))


def _ask(place: str, endpoint: str) -> None:
    """A write by a client of its own, which gives up soon."""
    S3Storage(place, endpoint=endpoint, patience=0.5).write("key", b"1")


def _xml(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message></Message></Error>".encode()


def test_a_bucket_that_was_created(s3_server: Server) -> None:
    name = f"test-{uuid.uuid4().hex[:12]}"
    with hinted("Create it, or correct --storage or the endpoint.", StorageError):
        _ask(f"s3://{name}/runs", s3_server.endpoint)
    boto3.client("s3", endpoint_url=s3_server.endpoint).create_bucket(Bucket=name)
    _works(f"s3://{name}/runs", s3_server.endpoint)


def test_a_url_with_a_bucket(place: str, s3_server: Server) -> None:
    with hinted("Write s3://BUCKET/PREFIX.", StorageError):
        S3Storage("s3://", endpoint=s3_server.endpoint)
    _works(place, s3_server.endpoint)


def test_an_endpoint_without_credentials(place: str, s3_server: Server) -> None:
    wrong = s3_server.endpoint.replace("://", "://key:secret@")
    hint = "Leave them out of the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    with hinted(hint, StorageError):
        S3Storage(place, endpoint=wrong)
    assert os.environ["AWS_ACCESS_KEY_ID"]
    _works(place, s3_server.endpoint)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_keys_that_were_checked(
    place: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    right = os.environ[name]
    monkeypatch.setenv(name, f"{right}x")
    with hinted(
        "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the Secret that "
        "cluster.storage_secret names.",
        StorageError,
    ):
        _ask(place, s3_server.endpoint)
    monkeypatch.setenv(name, right)
    _works(place, s3_server.endpoint)


@pytest.mark.parametrize("way", ["keys", "profile"])
def test_credentials_that_were_set(
    place: str, s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    values = [os.environ[name] for name in names]
    for name in names:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with hinted(
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
        "on a cluster, cluster.storage_secret names a Secret with them.",
        StorageError,
    ):
        _ask(place, s3_server.endpoint)
    if way == "keys":
        for name, value in zip(names, values, strict=True):
            monkeypatch.setenv(name, value)
    else:
        lines = [f"{name.lower()} = {value}" for name, value in zip(names, values, strict=True)]
        (tmp_path / "credentials").write_text("\n".join(["[mine]", *lines, ""]))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "mine")
    _works(place, s3_server.endpoint)


def test_credentials_that_were_renewed(
    place: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = os.environ["AWS_ACCESS_KEY_ID"]
    proxy.choose = lambda request: (
        Fault(status=400, body=_xml("ExpiredToken")) if request.has("Credential=old/") else GOOD
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    hint = "Renew them and submit the run again; it continues where it stopped."
    with hinted(hint, StorageError):
        _ask(place, proxy.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", right)
    _works(place, proxy.endpoint)


def test_rights_that_were_given(place: str, proxy: Proxy) -> None:
    proxy.choose = lambda request: Fault(status=403, body=_xml("AccessDenied"))
    hint = "The credentials need to read, write, list and delete below this prefix."
    with hinted(hint, StorageError):
        _ask(place, proxy.endpoint)
    proxy.choose = lambda request: GOOD
    _works(place, proxy.endpoint)
    asked = {(request.method, "list-type" in request.path) for request in proxy.requests}
    assert asked == {
        *(("PUT", False), ("HEAD", False), ("GET", False), ("GET", True), ("DELETE", False))
    }


def test_a_clock_that_was_set(
    place: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: object, **named: object) -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=3)

    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", wrong)
        with hinted("Set the clock.", StorageError):
            _ask(place, s3_server.endpoint)
    _works(place, s3_server.endpoint)


def test_a_region_that_was_set(place: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWS answers; the server of these tests takes any region."""
    right = os.environ["AWS_REGION"]
    malformed = Fault(status=400, body=_xml("AuthorizationHeaderMalformed"))
    proxy.choose = lambda request: malformed if request.has("/eu-south-2/s3/") else GOOD
    monkeypatch.setenv("AWS_REGION", "eu-south-2")
    with hinted("Set AWS_REGION to the bucket's region.", StorageError):
        _ask(place, proxy.endpoint)
    monkeypatch.setenv("AWS_REGION", right)
    _works(place, proxy.endpoint)


def test_a_server_with_conditional_writes(place: str, proxy: Proxy, s3_server: Server) -> None:
    proxy.choose = lambda request: (
        Fault(status=501, body=_xml("NotImplemented")) if request.has("if-none-match") else GOOD
    )
    hint = "Use a server with conditional writes (If-None-Match) and multipart uploads."
    with hinted(hint, StorageError):
        probe(S3Storage(place, endpoint=proxy.endpoint, patience=0.5))
    _works(place, s3_server.endpoint)


def test_a_server_that_does_not_overwrite(tmp_path: Path, place: str, s3_server: Server) -> None:
    class Overwriting(LocalStorage):
        def create(self, key: str, data: bytes) -> bool:
            self.write(key, data)
            return True

    with hinted("Use a server that honours conditional writes (If-None-Match).", StorageError):
        probe(Overwriting(tmp_path))
    _works(place, s3_server.endpoint)


def test_a_server_with_room_again(place: str, proxy: Proxy) -> None:
    proxy.choose = lambda request: Fault(status=507, body=_xml("InsufficientStorage"))
    hint = "Free some space and submit the run again; it continues where it stopped."
    with hinted(hint, StorageFull):
        _ask(place, proxy.endpoint)
    proxy.choose = lambda request: GOOD
    _works(place, proxy.endpoint)


def test_a_server_that_works_later(place: str, proxy: Proxy) -> None:
    proxy.choose = lambda request: Fault(status=500, body=_xml("InternalError"))
    hint = "Submit the run again later; it continues where it stopped."
    with hinted(hint, StorageError):
        _ask(place, proxy.endpoint)
    proxy.choose = lambda request: GOOD
    _works(place, proxy.endpoint)


def test_an_endpoint_that_was_checked(place: str, s3_server: Server) -> None:
    hint = "Check the endpoint (cluster.storage_endpoint, AWS_ENDPOINT_URL_S3) and the network."
    with hinted(hint, StorageError):
        _ask(place, "http://127.0.0.1:9")
    _works(place, s3_server.endpoint)


def test_an_authority_that_was_named(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates(tmp_path)
    (tmp_path / "files").mkdir()
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    program = binary()
    if program is None:
        pytest.fail("the server of the cluster's tests is not built")
    tls = (tmp_path / "server.crt", tmp_path / "server.key")
    with started(program, tmp_path / "files", tls=tls) as server:
        for name, value in (("ACCESS_KEY_ID", server.key), ("SECRET_ACCESS_KEY", server.secret)):
            monkeypatch.setenv(f"AWS_{name}", value)
        with hinted("Name the authority's certificate with AWS_CA_BUNDLE.", StorageError):
            _ask(place, server.endpoint)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.crt"))
        bucket = place.split("/")[2]
        boto3.client("s3", endpoint_url=server.endpoint).create_bucket(Bucket=bucket)
        _works(place, server.endpoint)


def test_a_login_that_was_renewed(
    place: str, s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", s3_server.key)
    monkeypatch.setenv("TEST_SECRET", s3_server.secret)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "sso")
    log_in(tmp_path, "old", hours=-1)
    # botocore reads the folder of its cache once.
    from botocore import credentials, tokens, utils

    cache = str(tmp_path / ".aws" / "sso" / "cache")
    for module in (credentials, tokens, utils):
        for owner in vars(module).values():
            if isinstance(owner, type) and "_SSO_TOKEN_CACHE_DIR" in vars(owner):
                monkeypatch.setattr(owner, "_SSO_TOKEN_CACHE_DIR", cache)
    with portal(monkeypatch):
        with hinted("Run `aws sso login`.", StorageError):
            _ask(place, s3_server.endpoint)
        log_in(tmp_path, "new", hours=8)
        _works(place, s3_server.endpoint)
