"""A folder in storage is complete or invisible, and comes back verified."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobrunner.errors import NotFound, StorageError
from jobrunner.spec.keys import CARD
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests.harness.elsewhere import Elsewhere
from tests.harness.smalldisk import run_on_small_disk

PREFIX = "models/abc/"


@pytest.fixture
def storage(tmp_path: Path) -> Elsewhere:
    """A published folder of two files and a card."""
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)) * 100)
    (folder / "deep" / "config.json").write_text("{}")
    (folder / CARD).write_text("first")
    made = Elsewhere(tmp_path / "storage")
    assert not folders.is_published(made, PREFIX)
    folders.publish(made, PREFIX, folder, changing=[CARD])
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
    storage.write(PREFIX + CARD, b"second")
    assert folders.digest(storage, PREFIX) == before
    folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert CARD not in json.loads(storage.read(PREFIX + folders.MANIFEST))["files"]


def test_other_content_has_another_digest(storage: Elsewhere, tmp_path: Path) -> None:
    before = folders.digest(storage, PREFIX)
    folder = tmp_path / "folder"
    (folder / "weights").write_bytes(b"other")
    folders.publish(storage, PREFIX, folder, changing=[CARD])
    assert folders.digest(storage, PREFIX) != before
    place = folders.fetch(storage, PREFIX, tmp_path / "scratch")
    assert (place / "weights").read_bytes() == b"other"


def test_a_folder_storage_gives_its_own_folder(storage: Elsewhere, tmp_path: Path) -> None:
    local = LocalStorage(tmp_path / "storage")
    place = folders.fetch(local, PREFIX, tmp_path / "scratch")
    assert place == local.path("models/abc")
    assert not (tmp_path / "scratch").exists()


def test_one_object_comes_with_its_digest_or_not_at_all(storage: Elsewhere, tmp_path: Path) -> None:
    path, key = tmp_path / "deep" / "copy", PREFIX + "weights"
    digest = folders.fetch_file(storage, key, path)
    assert digest == folders.sha256(path) == folders.sha256(tmp_path / "folder" / "weights")
    assert folders.fetch_file(storage, key, path, expected=digest) == digest
    with pytest.raises(StorageError, match="weights differs from its manifest"):
        folders.fetch_file(storage, key, path, expected="0" * 64)
    with pytest.raises(NotFound):
        folders.fetch_file(storage, PREFIX + "nothing", path)


# Prints what it saw, as JSON.
SCRIPT = """
import json, sys
from pathlib import Path
from jobrunner.errors import StorageFull
from jobrunner.storage import folders
from tests.harness.elsewhere import Elsewhere

place, storage = Path(sys.argv[1]), Elsewhere(Path(sys.argv[2]))
filler = place / "filler"
filler.write_bytes(bytes(1_500_000))
errors = []
for wanted in (
    lambda: folders.fetch(storage, "models/large/", place / "scratch"),
    lambda: folders.fetch_file(storage, "models/large/weights", place / "copy"),
):
    try:
        wanted()
    except StorageFull as error:
        errors.append([error.exit_code, str(error)])
(place / "copy").unlink()
complete = list(place.rglob("manifest.json"))
filler.unlink()
folder = folders.fetch(storage, "models/large/", place / "scratch")
size = (folder / "weights").stat().st_size
print(json.dumps({"errors": errors, "complete": len(complete), "size": size}))
"""


def test_a_disk_that_is_full_while_fetching_is_an_error_and_a_later_fetch_is_whole(
    storage: Elsewhere, tmp_path: Path
) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "weights").write_bytes(bytes(1_000_000))
    folders.publish(storage, "models/large/", tmp_path / "large")
    seen = run_on_small_disk(SCRIPT, tmp_path / "small", tmp_path / "storage")
    assert [code for code, _ in seen["errors"]] == [3, 3]
    for _, text in seen["errors"]:
        assert "No room left on this machine's disk to write weights." in text or "copy." in text
        assert "Free some space and submit the run again" in text
    assert seen["complete"] == 0
    assert seen["size"] == 1_000_000
