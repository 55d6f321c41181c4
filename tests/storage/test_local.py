"""What only a folder can get wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jobrunner.errors import StorageError
from jobrunner.storage import open_storage, probe
from jobrunner.storage.local import LocalStorage


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
