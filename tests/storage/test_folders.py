"""A folder in storage is complete or invisible, and comes back verified."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from jobrunner.errors import Lost, NotFound, StorageError
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
    assert not folders.is_whole(made, PREFIX)
    folders.publish(made, PREFIX, folder, changing=[CARD])
    return made


def test_what_was_published_comes_back(storage: Elsewhere, tmp_path: Path) -> None:
    assert folders.is_whole(storage, PREFIX)
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
    folders.fetch_verified(storage, key, path, digest)
    with pytest.raises(NotFound):
        folders.fetch_file(storage, PREFIX + "nothing", path)
    with pytest.raises(Lost, match="weights differs from its manifest"):
        folders.fetch_verified(storage, key, path, "0" * 64)
    with pytest.raises(Lost, match="weights is not in storage"):
        folders.fetch_verified(storage, key, path, digest)


def test_what_a_folder_lacks_is_found_with_one_listing(storage: Elsewhere) -> None:
    assert folders.missing(storage, PREFIX) == []
    storage.forget()
    storage.write(PREFIX + "weights", b"cut")
    storage.delete(PREFIX + "deep/config.json")
    assert folders.missing(storage, PREFIX) == [PREFIX + "deep/config.json", PREFIX + "weights"]
    assert storage.opened() == []
    assert not folders.is_whole(storage, PREFIX)
    with pytest.raises(NotFound):
        folders.missing(storage, "models/other/")


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"files": {"weights": {}}}'])
def test_a_damaged_manifest_is_what_lacks(
    storage: Elsewhere, tmp_path: Path, manifest: bytes
) -> None:
    storage.write(PREFIX + folders.MANIFEST, manifest)
    assert folders.missing(storage, PREFIX) == [PREFIX + folders.MANIFEST]
    with pytest.raises(Lost, match=r"manifest\.json is damaged"):
        folders.fetch(storage, PREFIX, tmp_path / "scratch")
    folders.publish(storage, PREFIX, tmp_path / "folder", changing=[CARD])
    assert folders.is_whole(storage, PREFIX)


@pytest.mark.parametrize("kind", [Elsewhere, LocalStorage])
def test_a_damaged_file_counts_as_missing_until_it_is_stored_again(
    storage: Elsewhere, tmp_path: Path, kind: type[LocalStorage]
) -> None:
    reader = kind(tmp_path / "storage")
    storage.write(PREFIX + "weights", b"?" * 25_600)
    assert folders.missing(storage, PREFIX) == []  # its size is right
    with pytest.raises(Lost, match="weights differs from its manifest") as caught:
        folders.fetch(reader, PREFIX, tmp_path / "scratch")
    assert caught.value.hint.startswith("Submit the run again")
    assert folders.missing(storage, PREFIX) == [PREFIX + "weights"]
    with pytest.raises(Lost, match="weights is not in storage"):
        folders.fetch(reader, PREFIX, tmp_path / "scratch")
    folders.publish(storage, PREFIX, tmp_path / "folder", changing=[CARD])
    folders.fetch(reader, PREFIX, tmp_path / "scratch")


def test_damage_that_may_not_be_deleted_is_named_for_a_person(tmp_path: Path) -> None:
    class ReadOnly(LocalStorage):
        def delete(self, key: str) -> None:
            raise StorageError("Access is denied.")

    error = folders.discard(ReadOnly(tmp_path), PREFIX + "weights", "is damaged")
    assert str(error) == (
        "models/abc/weights is damaged. "
        "Delete it from storage (Access is denied), then submit the run again."
    )


def test_a_reader_never_compares_new_files_with_an_old_manifest(
    storage: Elsewhere, tmp_path: Path
) -> None:
    class Watching(LocalStorage):
        seen: ClassVar[list[bool]] = []

        def write_file(self, key: str, path: Path) -> None:
            self.seen.append(self.stat(PREFIX + folders.MANIFEST) is not None)
            super().write_file(key, path)

    watching = Watching(tmp_path / "storage")
    folders.publish(watching, PREFIX, tmp_path / "folder", changing=[CARD])
    assert watching.seen == [True, True, True]
    (tmp_path / "folder" / "weights").write_bytes(b"other")
    folders.publish(watching, PREFIX, tmp_path / "folder", changing=[CARD])
    assert watching.seen[3:] == [False, False, False]


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
