"""A folder in storage is complete or invisible, and comes back verified."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobrunner.errors import NotFound, StorageError
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests.harness.elsewhere import Elsewhere

PREFIX = "models/abc/"


@pytest.fixture
def storage(tmp_path: Path) -> Elsewhere:
    """A published folder of two files and a card."""
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)) * 100)
    (folder / "deep" / "config.json").write_text("{}")
    (folder / folders.CARD).write_text("first")
    made = Elsewhere(tmp_path / "storage")
    assert not folders.is_published(made, PREFIX)
    folders.publish(made, PREFIX, folder)
    return made


def test_what_was_published_comes_back(storage: Elsewhere, tmp_path: Path) -> None:
    assert folders.is_published(storage, PREFIX)
    place = folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert (place / "weights").read_bytes() == bytes(range(256)) * 100
    assert (place / "deep" / "config.json").read_text() == "{}"


def test_nothing_is_fetched_before_it_is_complete(storage: Elsewhere, tmp_path: Path) -> None:
    storage.delete(PREFIX + folders.MANIFEST)
    for wanted in (folders.digest, lambda s, p: folders.fetch(s, p, tmp_path)):
        with pytest.raises(NotFound, match="not complete"):
            wanted(storage, PREFIX)


def test_a_second_fetch_downloads_nothing(storage: Elsewhere, tmp_path: Path) -> None:
    folders.fetch(storage, PREFIX, tmp_path / "scratch")
    storage.forget()
    folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert storage.opened() == []


def test_stages_that_want_a_folder_at_once_download_it_once(
    storage: Elsewhere, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        wanted = [
            pool.submit(folders.fetch, storage, PREFIX, tmp_path / "scratch") for _ in range(8)
        ]
        places = {future.result() for future in wanted}
    assert len(places) == 1
    assert len(storage.opened()) == 2


def test_a_file_that_differs_from_the_manifest_is_an_error_until_it_is_mended(
    storage: Elsewhere, tmp_path: Path
) -> None:
    good = storage.read(PREFIX + "weights")
    storage.write(PREFIX + "weights", b"damaged")
    with pytest.raises(StorageError, match="differs from its manifest"):
        folders.fetch(storage, PREFIX, tmp_path / "scratch")
    storage.write(PREFIX + "weights", good)
    place = folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert (place / "weights").read_bytes() == good


def test_the_card_may_change_and_the_digest_stays(storage: Elsewhere, tmp_path: Path) -> None:
    before = folders.digest(storage, PREFIX)
    storage.write(PREFIX + folders.CARD, b"second")
    assert folders.digest(storage, PREFIX) == before
    folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert folders.CARD not in json.loads(storage.read(PREFIX + folders.MANIFEST))["files"]


def test_other_content_has_another_digest(storage: Elsewhere, tmp_path: Path) -> None:
    before = folders.digest(storage, PREFIX)
    folder = tmp_path / "folder"
    (folder / "weights").write_bytes(b"other")
    folders.publish(storage, PREFIX, folder)
    assert folders.digest(storage, PREFIX) != before
    place = folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert (place / "weights").read_bytes() == b"other"


def test_a_folder_storage_gives_its_own_folder(storage: Elsewhere, tmp_path: Path) -> None:
    local = LocalStorage(tmp_path / "storage")
    place = folders.fetch(local, PREFIX, tmp_path / "scratch")
    assert place == local.path("models/abc")
    assert not (tmp_path / "scratch").exists()
