"""S3 behind a line that fails: every call ends well, or with a StorageError, and never in doubt."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobrunner.errors import StorageError, StorageFull
from jobrunner.storage import Storage
from jobrunner.storage.s3 import S3Storage
from tests.harness.servers.faulty_proxy import GOOD, Fault, Proxy, Request, proxied
from tests.harness.servers.s3 import Server

pytestmark = pytest.mark.s3
MIB = 1 << 20
BODY = random.Random(1).randbytes(3 * MIB)


def xml(code: str, message: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


PASSING = {
    "latency": Fault(delay=0.3),
    "500": Fault(status=500, body=xml("InternalError")),
    "502 of a proxy": Fault(status=502, body=b"<html>Bad gateway</html>"),
    "503": Fault(status=503, body=xml("SlowDown", "Please reduce your request rate.")),
    "reset before": Fault(reset="before"),
    "reset after": Fault(reset="after"),
    "truncated": Fault(cut=10),
    "empty": Fault(cut=0),
}


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    with proxied(s3_server.host, s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def storage(proxy: Proxy, bucket: str) -> S3Storage:
    """An empty storage behind the proxy."""
    return S3Storage(f"{bucket}/{uuid.uuid4().hex}", endpoint=proxy.endpoint, patience=20)


def first(proxy: Proxy, fault: Fault, times: int = 1) -> None:
    """The next requests fail, those after them do not."""
    left = iter([fault] * times)
    proxy.choose = lambda request: next(left, GOOD)


@pytest.mark.parametrize("name", PASSING)
def test_every_call_rides_out(name: str, proxy: Proxy, storage: S3Storage, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(BODY)
    fault = PASSING[name]
    first(proxy, fault)
    storage.write("written", BODY)
    first(proxy, fault)
    storage.write_file("file", file)
    first(proxy, fault)
    assert storage.create("created", b"1")
    first(proxy, fault)
    assert not storage.create("created", b"1")
    for key, body in (("written", BODY), ("file", BODY), ("created", b"1")):
        first(proxy, fault)
        entry = storage.stat(key)
        assert entry
        assert entry.size == len(body)
        first(proxy, fault)
        assert storage.read(key) == body
    first(proxy, fault)
    assert [entry.key for entry in storage.list("")] == ["created", "file", "written"]
    first(proxy, fault)
    storage.delete("file")
    first(proxy, fault)
    assert storage.stat("file") is None


def test_a_creation_that_meets_another_is_tried_again(proxy: Proxy, storage: S3Storage) -> None:
    first(proxy, Fault(status=409, body=xml("ConditionalRequestConflict")), times=2)
    assert storage.create("key", b"1")
    first(proxy, Fault(status=409, body=xml("ConditionalRequestConflict")), times=2)
    assert not storage.create("key", b"2")


def test_a_write_that_meets_the_removal_of_its_folder_is_tried_again(
    proxy: Proxy, storage: S3Storage
) -> None:
    first(proxy, Fault(status=409, body=xml("ExistingObjectIsDirectory")), times=2)
    storage.write("folder/key", b"1")
    assert storage.read("folder/key") == b"1"


def test_a_key_that_is_a_folder_of_others_is_an_error_within_seconds(
    s3_server: Server, bucket: str
) -> None:
    storage = S3Storage(f"{bucket}/{uuid.uuid4().hex}", endpoint=s3_server.endpoint, patience=600)
    storage.write("folder/key", b"1")
    with pytest.raises(StorageError, match="is a directory"):
        storage.write("folder", b"2")


def test_a_cut_body_goes_on_where_it_was(proxy: Proxy, storage: S3Storage) -> None:
    storage.write("key", BODY)
    first(proxy, Fault(cut=MIB), times=2)
    proxy.requests.clear()
    assert storage.read("key") == BODY
    assert [request.has(f"range: bytes={MIB}-") for request in proxy.requests] == [0, 1, 0]
    assert proxy.requests[2].has(f"range: bytes={2 * MIB}-")
    assert all(request.has("if-match") for request in proxy.requests[1:])


def test_a_body_that_changes_between_two_parts_is_an_error(
    proxy: Proxy, storage: S3Storage
) -> None:
    storage.write("key", BODY)
    first(proxy, Fault(cut=MIB))
    with storage.open("key") as stream:
        assert stream.read(MIB) == BODY[:MIB]
        storage.write("key", BODY[::-1])
        with pytest.raises(StorageError, match="was replaced while it was read"):
            stream.read()


def test_a_large_upload_survives_lost_parts_and_a_lost_last_reply(
    proxy: Proxy, storage: S3Storage, tmp_path: Path
) -> None:
    body = BODY * 22 + b"end"
    (tmp_path / "large").write_bytes(body)
    faults = {
        "partNumber=1": iter([PASSING["503"], PASSING["reset before"]]),
        "partNumber=2": iter([PASSING["reset after"]]),
        "POST": iter([GOOD, PASSING["reset after"]]),
    }

    def choose(request: Request) -> Fault:
        named = (f for text, f in faults.items() if text in f"{request.method} {request.path}")
        return next(next(named, iter(())), GOOD)

    proxy.choose = choose
    storage.write_file("large", tmp_path / "large")
    assert storage.read("large") == body
    assert storage.clean_uploads(0) == 0


UPLOAD = """
import sys
from pathlib import Path
from jobrunner.storage.s3 import S3Storage

S3Storage(sys.argv[1], endpoint=sys.argv[2]).write_file("large", Path(sys.argv[3]))
"""


def test_what_a_killed_upload_left_is_invisible_and_can_be_cleaned(
    proxy: Proxy, storage: S3Storage, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(BODY * 22)
    stored = threading.Event()

    def choose(request: Request) -> Fault:
        if "partNumber=1" in request.path:
            return GOOD
        if any("partNumber=1" in earlier.path for earlier in proxy.requests):
            stored.set()
        return Fault(reset="before") if "partNumber" in request.path else GOOD

    proxy.choose = choose
    arguments = [storage.url, proxy.endpoint, str(tmp_path / "large")]
    with subprocess.Popen([sys.executable, "-c", UPLOAD, *arguments]) as writer:
        assert stored.wait(60)
        writer.kill()
    proxy.choose = lambda request: GOOD
    assert storage.stat("large") is None
    assert list(storage.list("")) == []
    assert storage.clean_uploads(3600) == 0
    assert storage.clean_uploads(0) == 1
    assert storage.clean_uploads(0) == 0


def test_creating_through_a_bad_line_never_succeeds_twice(proxy: Proxy, bucket: str) -> None:
    chance = random.Random(2)
    bad = [fault for name, fault in PASSING.items() if name != "latency"]
    proxy.choose = lambda request: chance.choice(bad) if chance.random() < 0.4 else GOOD
    place = f"{bucket}/{uuid.uuid4().hex}"

    def race(name: str) -> list[bool | None]:
        storage = S3Storage(place, endpoint=proxy.endpoint, patience=0.5)
        return [attempt(storage, f"key-{number}", name) for number in range(20)]

    def attempt(storage: Storage, key: str, name: str) -> bool | None:
        try:
            return storage.create(key, name.encode())
        except StorageError:
            return None

    names = [f"writer-{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(race, names))
    proxy.choose = lambda request: GOOD
    storage = S3Storage(place, endpoint=proxy.endpoint)
    for number in range(20):
        outcomes = dict(zip(names, (result[number] for result in results), strict=True))
        winners = [name for name, outcome in outcomes.items() if outcome]
        assert len(winners) <= 1
        if winners:
            assert storage.read(f"key-{number}").decode() == winners[0]
        else:
            # Nobody may believe to have lost to nobody.
            assert None in outcomes.values()


CALLS: dict[str, Callable[[Storage], object]] = {
    "read": lambda storage: storage.read("there"),
    "write": lambda storage: storage.write("key", b"1"),
    "write_file": lambda storage: storage.write_file("key", Path(__file__)),
    "create": lambda storage: storage.create("key", b"1"),
    "stat": lambda storage: storage.stat("there"),
    "list": lambda storage: list(storage.list("")),
    "delete": lambda storage: storage.delete("there"),
    "clean_uploads": lambda storage: storage.clean_uploads(0),
}
LASTING = {
    "expired": (
        Fault(status=400, body=xml("ExpiredToken", "SECRET")),
        "have expired. Renew them and submit the run again",
    ),
    "denied": (
        Fault(status=403, body=xml("AccessDenied", "SECRET")),
        "Access to .* is denied .* need to read, write, list and delete",
    ),
    "wrong key": (Fault(status=403, body=xml("InvalidAccessKeyId")), "does not know the access"),
    "bad bucket": (Fault(status=404, body=xml("NoSuchBucket")), "does not exist at .* Create it"),
    "unknown": (
        Fault(status=400, body=xml("Odd", "Authorization:\nSECRET")),
        r"answered Odd, Authorization: \*\*\*",
    ),
    "500": (
        Fault(status=500, body=xml("InternalError", "SECRET")),
        r"answered (InternalError, \*\*\*|500, Internal Server Error)\. Submit the run again later",
    ),
    "reset": (Fault(reset="before"), "does not answer, or not to the end .* Check the endpoint"),
    "truncated": (Fault(cut=0), "does not answer, or not to the end"),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_ends_in_one_line_without_secrets(
    name: str, proxy: Proxy, bucket: str, s3_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    fault, expected = LASTING[name]
    place = f"{bucket}/{uuid.uuid4().hex}"
    S3Storage(place, endpoint=proxy.endpoint).write("there", BODY)
    body = fault.body.replace(b"SECRET", s3_server.secret.encode())
    proxy.choose = lambda request: Fault(**{**vars(fault), "body": body})
    caplog.set_level(logging.DEBUG)
    shown = []
    for call, action in CALLS.items():
        if name == "truncated" and call not in {"read", "list", "clean_uploads"}:
            continue  # these answers have no body to cut
        # A new client each time, as a new process has it.
        storage = S3Storage(place, endpoint=proxy.endpoint, patience=0.5)
        with pytest.raises(StorageError, match=expected) as caught:
            action(storage)
        error = caught.value
        assert "\n" not in str(error)
        shown += [str(error), repr(error), repr(storage), *traceback.format_exception(error)]
    assert s3_server.secret not in "".join(shown) + caplog.text


def test_a_full_server_is_told_as_such(proxy: Proxy, storage: S3Storage) -> None:
    for status, code in ((507, "InsufficientStorage"), (403, "QuotaExceeded")):
        proxy.choose = lambda request, s=status, c=code: Fault(status=s, body=xml(c))  # type: ignore[misc]
        with pytest.raises(StorageFull, match="No room left"):
            storage.write("key", b"1")


def test_a_server_without_conditional_writes_is_told_as_such(
    proxy: Proxy, storage: S3Storage
) -> None:
    proxy.choose = lambda request: (
        Fault(status=501, body=xml("NotImplemented")) if request.has("if-none-match") else GOOD
    )
    with pytest.raises(StorageError, match=r"cannot do what .* needs .* conditional writes"):
        storage.create("key", b"1")
