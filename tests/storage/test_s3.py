"""The contract of storage, held against a prefix on a real S3 server."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable

import pytest

from jobrunner.errors import StorageError
from jobrunner.storage import Storage, open_storage, s3_client
from tests.contract.space import SpaceContract
from tests.contract.storage import StorageContract
from tests.contract.storage_model import behaves_like_a_dictionary

pytestmark = pytest.mark.s3


@pytest.fixture
def new_storage(bucket: str) -> Callable[[], Storage]:
    """Makes empty storages."""
    return lambda: open_storage(f"{bucket}/{uuid.uuid4().hex}")


class TestStorage(StorageContract):
    """A bucket keeps the promises of storage."""


class TestSpace(SpaceContract):
    """A bucket tells of its room."""


def test_what_is_in_a_bucket_has_to_be_fetched(new_storage: Callable[[], Storage]) -> None:
    storage = new_storage()
    storage.write("folder/key", b"1")
    assert storage.local_path("folder/key") is None
    assert storage.local_path("folder/") is None


def test_storage_behaves_like_a_dictionary(new_storage: Callable[[], Storage]) -> None:
    behaves_like_a_dictionary(new_storage, examples=12)


def test_a_request_is_logged_with_its_time(
    new_storage: Callable[[], Storage], caplog: pytest.LogCaptureFixture
) -> None:
    storage = new_storage()
    with caplog.at_level(logging.DEBUG, s3_client.__name__):
        storage.write("written", b"1")
        with pytest.raises(StorageError):
            storage.read("missing")
    put, get = (each.getMessage() for each in caplog.records if each.name == s3_client.__name__)
    assert re.fullmatch(r"put_object s3://\S+/written: done, \d+ ms", put)
    assert re.fullmatch(r"get_object s3://\S+/missing: failed, \d+ ms", get)
