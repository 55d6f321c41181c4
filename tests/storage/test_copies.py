"""A copy of a published folder is verified, resumable, and spares what it did not write."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobrunner.errors import Lost, NotFound, StorageError, UsageError
from jobrunner.spec.keys import CARD
from jobrunner.storage import Storage, folders, open_storage
from jobrunner.storage.copies import copy_out
from jobrunner.storage.local import LocalStorage
from tests.harness.elsewhere import Elsewhere
from tests.harness.servers.s3 import Server

PREFIX = "runs/el-x-00000000/export/"
CONTENT = {"weights": bytes(range(256)) * 100, "deep/config.json": b"{}", CARD: b"first"}


def _publish(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    folders.publish(storage, PREFIX, folder, changing=[CARD])


@pytest.fixture
def storage(tmp_path: Path) -> Elsewhere:
    """A published folder of two files and a card."""
    made = Elsewhere(tmp_path / "storage")
    _publish(made, tmp_path)
    return made


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != folders.MANIFEST
    }


@pytest.mark.parametrize("local", [True, False])
def test_a_copy_has_every_file_and_a_second_one_fetches_nothing(
    storage: Elsewhere, tmp_path: Path, local: bool
) -> None:
    source: Storage = LocalStorage(tmp_path / "storage") if local else storage
    seen: list[tuple[str, int]] = []

    first = copy_out(
        source,
        PREFIX,
        tmp_path / "a" / "copy",
        changing=[CARD],
        before_file=lambda name, size: seen.append((name, size)),
    )
    second = copy_out(source, PREFIX, tmp_path / "a" / "copy", changing=[CARD])

    assert _files(tmp_path / "a" / "copy") == CONTENT
    assert sorted(seen) == [("deep/config.json", 2), ("weights", 25_600)]
    assert (first.fetched, first.kept, second.fetched, second.kept) == (2, 0, 0, 2)


@pytest.mark.s3
def test_a_copy_comes_from_s3(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    storage = open_storage(f"{bucket}/copies", endpoint=s3_server.endpoint)
    _publish(storage, tmp_path)
    copy_out(storage, PREFIX, tmp_path / "copy", changing=[CARD])
    assert _files(tmp_path / "copy") == CONTENT


def test_an_interrupted_copy_continues_with_what_is_missing(
    storage: Elsewhere, tmp_path: Path
) -> None:
    good = storage.read(PREFIX + "weights")
    storage.write(PREFIX + "weights", good[:-1] + b"!")
    with pytest.raises(Lost, match=r"weights differs from its manifest\."):
        copy_out(storage, PREFIX, tmp_path / "copy")
    assert _files(tmp_path / "copy") == {"deep/config.json": b"{}"}
    assert not (tmp_path / "copy" / folders.MANIFEST).exists()
    storage.write(PREFIX + "weights", good)
    storage.forget()
    done = copy_out(storage, PREFIX, tmp_path / "copy")
    assert (done.fetched, done.kept) == (1, 1)
    assert list(storage.opened()) == [PREFIX + "weights"]


def test_a_file_that_was_damaged_after_the_copy_is_fetched_again(
    storage: Elsewhere, tmp_path: Path
) -> None:
    copy_out(storage, PREFIX, tmp_path / "copy", changing=[CARD])
    (tmp_path / "copy" / "weights").write_bytes(b"cut")
    storage.write(PREFIX + CARD, b"second")
    done = copy_out(storage, PREFIX, tmp_path / "copy", changing=[CARD])
    assert (done.fetched, done.kept) == (1, 1)
    assert _files(tmp_path / "copy") == {**CONTENT, CARD: b"second"}


@pytest.mark.parametrize("name", list(CONTENT))
def test_a_file_of_somebody_else_is_not_replaced(
    storage: Elsewhere, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "copy" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(UsageError, match=rf"has other files of these names: {name}\. Name another"):
        copy_out(storage, PREFIX, tmp_path / "copy", changing=[CARD])
    assert _files(tmp_path / "copy") == {name: b"mine"}


def test_a_folder_with_another_model_is_left_alone(storage: Elsewhere, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / folders.MANIFEST).write_text(json.dumps({"files": {}}))
    with pytest.raises(UsageError, match=r"copy has another model\. Name another folder\."):
        copy_out(storage, PREFIX, tmp_path / "copy")
    assert _files(tmp_path / "copy") == {}


def test_nothing_is_copied_that_is_not_complete(storage: Elsewhere, tmp_path: Path) -> None:
    storage.delete(PREFIX + folders.MANIFEST)
    with pytest.raises(NotFound):
        copy_out(storage, PREFIX, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_two_copies_at_once_fetch_each_file_once(storage: Elsewhere, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        copies = [pool.submit(copy_out, storage, PREFIX, tmp_path / "copy") for _ in range(4)]
        assert sorted(copy.result().fetched for copy in copies) == [0, 0, 0, 2]
    assert _files(tmp_path / "copy") == {k: v for k, v in CONTENT.items() if k != CARD}


@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_a_folder_that_cannot_be_made_is_an_error(
    storage: Elsewhere, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file.*: (Not a directory|File exists)"):
        copy_out(storage, PREFIX, tmp_path / place)
