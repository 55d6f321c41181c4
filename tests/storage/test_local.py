"""The contract of storage, held against a folder, and what only a folder can get wrong."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from jobrunner.errors import StorageError
from jobrunner.storage import Storage, open_storage, probe
from jobrunner.storage.local import LocalStorage
from tests.contract.storage import StorageContract
from tests.contract.storage_model import behaves_like_a_dictionary
from tests.harness.smalldisk import run_on_small_disk


@pytest.fixture
def new_storage(tmp_path: Path) -> Callable[[], Storage]:
    """Makes empty storages."""
    return lambda: open_storage(str(tmp_path / uuid.uuid4().hex))


class TestStorage(StorageContract):
    """A folder keeps the promises of storage."""


def test_storage_behaves_like_a_dictionary(new_storage: Callable[[], Storage]) -> None:
    behaves_like_a_dictionary(new_storage, examples=60)


def test_a_folder_is_storage_with_or_without_a_scheme(tmp_path: Path) -> None:
    open_storage(f"file://{tmp_path}/store").write("key", b"1")
    assert open_storage(f"{tmp_path}/store").read("key") == b"1"
    assert open_storage(f"{tmp_path}/store").url == f"{tmp_path}/store"


def test_what_a_killed_writer_left_is_invisible_and_can_be_cleaned(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("key", b"1")
    left, fresh = tmp_path / ".incomplete/left", tmp_path / ".incomplete/fresh"
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert [entry.key for entry in storage.list("")] == ["key"]
    assert storage.clean_uploads(3600) == 1
    assert not left.exists()
    assert fresh.exists()
    assert LocalStorage(tmp_path / "never made").clean_uploads(0) == 0


def test_objects_get_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        LocalStorage(tmp_path).write("key", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o640


def test_a_folder_in_the_place_of_an_object_is_an_error(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("folder/key", b"1")
    for put in (storage.write, storage.create):
        with pytest.raises(StorageError, match="folder: Is a directory"):
            put("folder", b"2")
    storage.delete("folder")
    assert storage.read("folder/key") == b"1"


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    storage = LocalStorage(tmp_path / "file")
    for put in (storage.write, storage.create):
        with pytest.raises(StorageError, match="key: "):
            put("key", b"1")


def test_what_is_in_a_folder_is_read_in_place(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("folder/key", b"1")
    assert storage.local_path("folder/key") == tmp_path / "folder" / "key"
    assert storage.local_path("folder/") == tmp_path / "folder"
    with pytest.raises(StorageError, match="is not a storage key"):
        storage.local_path("../key")


class Overwriting(LocalStorage):
    """A storage that does not keep its promise, as servers without If-None-Match do not."""

    def create(self, key: str, data: bytes) -> bool:
        self.write(key, data)
        return True


def test_the_probe_finds_a_storage_that_overwrites(tmp_path: Path) -> None:
    storage = Overwriting(tmp_path)
    with pytest.raises(StorageError, match="asked to create only if absent"):
        probe(storage)
    assert list(storage.list("")) == []


# Runs with the small file system as its first argument. Prints what it saw, as JSON.
SCRIPT = """
import json, sys
from pathlib import Path
from jobrunner.errors import StorageFull
from jobrunner.storage import open_storage

root = Path(sys.argv[1]) / "storage"
storage = open_storage(str(root))
kept, errors = [], []
source = Path(sys.argv[2])
source.write_bytes(b"s" * 300_000)
calls = [
    lambda key: storage.write(key, key.encode() * 40_000),
    lambda key: storage.create(key, key.encode() * 40_000),
    lambda key: storage.write_file(key, source),
]
for number in range(30):
    key = f"key-{number:02d}"
    try:
        calls[number % 3](key)
        kept.append(key)
    except StorageFull as error:
        errors.append(str(error))
intact = all(
    storage.read(key) == (b"s" * 300_000 if int(key[4:]) % 3 == 2 else key.encode() * 40_000)
    for key in kept
)
storage.delete(kept[0])
storage.write("after", b"room again")
print(json.dumps({
    "kept": kept, "errors": errors, "intact": intact,
    "listed": [entry.key for entry in storage.list("")],
    "left": [path.name for path in (root / ".incomplete").iterdir()],
}))
"""


def test_a_full_disk_is_told_and_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seen = run_on_small_disk(SCRIPT, tmp_path / "small", tmp_path / "source")
    assert 3 < len(seen["kept"]) < 10
    assert len(seen["kept"]) + len(seen["errors"]) == 30
    assert all("No room left to write key-" in text for text in seen["errors"])
    assert all("it continues where it stopped" in text for text in seen["errors"])
    assert seen["intact"]
    assert seen["listed"] == ["after", *seen["kept"][1:]]
    assert seen["left"] == []


def test_a_file_that_no_key_can_name_is_no_object(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("runs/a", b"1")
    (tmp_path / "runs" / "\x1b[31mred").write_bytes(b"2")
    (tmp_path / os.fsdecode(b"runs/\xff")).write_bytes(b"3")
    assert [entry.key for entry in storage.list("runs/")] == ["runs/a"]
