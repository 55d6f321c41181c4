"""What every storage promises."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from jobrunner.errors import NotFound, StorageError
from jobrunner.storage import Storage, probe

MIB = 1 << 20
# Larger than s3.MULTIPART_FROM, and no multiple of a part.
LARGE = 70 * MIB + 12345


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return [entry.key for entry in storage.list(prefix)]


def outcome(call: Callable[..., object], *arguments: object) -> type[StorageError] | None:
    """The kind of error that a call ends with."""
    try:
        call(*arguments)
    except StorageError as error:
        return type(error)
    return None


def _race(storage: Storage, name: str, rounds: int) -> list[bool]:
    return [storage.create(f"race/{number}", name.encode()) for number in range(rounds)]


class StorageContract:
    """Tests of an empty storage; `storage` and `new_storage` are fixtures of whoever runs them."""

    def test_what_was_written_is_read_back(self, storage: Storage) -> None:
        for data in (b"", b"x", bytes(range(256)) * 4096):
            storage.write("a/b/c.bin", data)
            assert storage.read("a/b/c.bin") == data
            with storage.open("a/b/c.bin") as stream:
                assert stream.read(3) == data[:3]
                assert stream.read() == data[3:]
            entry = storage.stat("a/b/c.bin")
            assert entry
            assert (entry.key, entry.size) == ("a/b/c.bin", len(data))
            assert abs(entry.modified - time.time()) < 60

    def test_a_stream_can_be_read_from_any_place(self, storage: Storage) -> None:
        data = hashlib.sha256(b"seed").digest() * MIB
        storage.write("big", data)
        with storage.open("big") as stream:
            stream.seek(-5, 2)
            assert stream.read() == data[-5:]
            stream.seek(3 * MIB)
            assert stream.read(10) == data[3 * MIB : 3 * MIB + 10]
            assert stream.tell() == 3 * MIB + 10
            stream.seek(len(data) + 1)
            assert stream.read() == b""

    def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        assert storage.stat("no/such") is None
        assert keys(storage) == []
        for call in (storage.read, storage.open):
            with pytest.raises(NotFound, match="no/such is not in storage"):
                call("no/such")
        storage.write("no/such/deeper", b"1")
        assert storage.stat("no/such") is None
        with pytest.raises(NotFound):
            storage.read("no/such")

    def test_deleting_twice_is_no_error(self, storage: Storage) -> None:
        storage.write("a/b", b"1")
        storage.delete("a/b")
        storage.delete("a/b")
        storage.delete("never/was/there")
        assert storage.stat("a/b") is None
        assert keys(storage) == []

    def test_an_object_can_be_replaced(self, storage: Storage) -> None:
        storage.write("key", b"long content")
        storage.write("key", b"short")
        assert storage.read("key") == b"short"
        assert keys(storage) == ["key"]

    def test_a_list_is_sorted_by_key_and_cut_by_prefix(self, storage: Storage) -> None:
        names = ["a-b", "a/b", "a/b-c/d", "a/b/c", "a.b", "ab", "B", "é", "z/1", "z/10", "z/2"]
        names.remove("a/b")
        for name in names:
            storage.write(name, name.encode())
        assert keys(storage) == sorted(names)
        assert keys(storage, "a") == ["a-b", "a.b", "a/b-c/d", "a/b/c", "ab"]
        assert keys(storage, "a/") == ["a/b-c/d", "a/b/c"]
        assert keys(storage, "a/b") == ["a/b-c/d", "a/b/c"]
        assert keys(storage, "z/1") == ["z/1", "z/10"]
        assert keys(storage, "nothing/") == []
        assert [entry.size for entry in storage.list("z/")] == [3, 4, 3]

    def test_a_list_has_more_than_one_page(self, storage: Storage) -> None:
        names = [f"page/{number:05d}" for number in range(1003)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: storage.write(name, b""), names))
        assert keys(storage, "page/") == names

    @pytest.mark.parametrize(
        "key",
        [
            "ελληνικά/Ω",
            "हिन्दी",
            "a b+c%20d&e=f",
            "\U0001f399",
            "\u00e9",
            "e\u0301",
            "q?#'\"<>",
            "x" * 255,
        ],
    )
    def test_a_key_can_hold_any_text(self, storage: Storage, key: str) -> None:
        storage.write(key, key.encode())
        assert storage.read(key) == key.encode()
        assert keys(storage) == [key]
        storage.delete(key)
        assert keys(storage) == []

    @pytest.mark.parametrize(
        "key",
        [
            *["", "/a", "a/", "a//b", ".", "../a", "a/../b", "a/.", "a\n", "\0", "\ud800"],
            *[".incomplete/a", "x" * 256, "x/" * 500 + "x"],
        ],
    )
    def test_a_key_that_climbs_out_or_cannot_be_kept_is_refused(
        self, storage: Storage, key: str
    ) -> None:
        for call in (
            storage.read,
            storage.open,
            storage.stat,
            storage.delete,
            lambda key: storage.write(key, b""),
            lambda key: storage.create(key, b""),
            lambda key: storage.write_file(key, Path(__file__)),
        ):
            with pytest.raises(StorageError, match="storage key"):
                call(key)

    @pytest.mark.parametrize("prefix", ["/etc/", "../", "a/../../"])
    def test_a_list_cannot_climb_out(self, storage: Storage, prefix: str) -> None:
        with pytest.raises(StorageError, match="storage key"):
            list(storage.list(prefix))

    def test_an_object_is_no_folder_of_another(self, storage: Storage) -> None:
        storage.write("a", b"1")
        for put in (storage.write, storage.create):
            # S3 itself keeps both; servers over a file system cannot.
            assert outcome(put, "a/b", b"2") in {None, StorageError}
            assert storage.read("a") == b"1"
        storage.delete("a/b/c")
        assert storage.read("a") == b"1"

    def test_a_file_that_cannot_be_read_is_named(self, storage: Storage, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="absent cannot be read: No such file"):
            storage.write_file("key", tmp_path / "absent")
        assert keys(storage) == []

    def test_a_large_file_appears_whole_or_not_at_all(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        file = tmp_path / "large"
        file.write_bytes(hashlib.shake_256(b"large").digest(LARGE))
        seen: set[int | None] = set()
        with ThreadPoolExecutor(1) as pool:
            writing: Future[None] = pool.submit(storage.write_file, "large", file)
            while not writing.done():
                entry = storage.stat("large")
                seen.add(entry.size if entry else None)
                seen.update(entry.size for entry in storage.list(""))
            writing.result()
        assert seen <= {None, LARGE}
        digest = hashlib.sha256()
        with storage.open("large") as stream:
            while chunk := stream.read(MIB):
                digest.update(chunk)
        assert digest.digest() == hashlib.sha256(file.read_bytes()).digest()
        assert storage.clean_uploads(0) == 0

    def test_a_reader_never_sees_half_an_object(self, storage: Storage) -> None:
        stop = threading.Event()

        def replace() -> None:
            number = 0
            while not stop.is_set():
                number = number % 255 + 1
                storage.write("key", bytes([number]) * (number * 4096))

        storage.write("key", b"\1" * 4096)
        seen: set[int] = set()
        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(replace) for _ in range(2)]
            try:
                deadline = time.monotonic() + 30
                while len(seen) < 20 and time.monotonic() < deadline:
                    data = storage.read("key")
                    assert len(set(data)) == 1
                    assert len(data) == data[0] * 4096
                    seen.add(data[0])
            finally:
                stop.set()
            for writer in writers:
                writer.result()
        assert len(seen) == 20

    def test_of_many_threads_that_create_a_key_one_wins(self, storage: Storage) -> None:
        threads, rounds = 12, 15
        start = threading.Barrier(threads)

        def race(name: str) -> list[bool]:
            won = []
            for number in range(rounds):
                start.wait(timeout=60)
                won.append(storage.create(f"race/{number}", name.encode()))
            return won

        names = [f"thread-{number}" for number in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            results = list(pool.map(race, names))
        for number in range(rounds):
            winners = [name for name, won in zip(names, results, strict=True) if won[number]]
            assert [storage.read(f"race/{number}").decode()] == winners

    def test_of_many_processes_that_create_a_key_one_wins(self, storage: Storage) -> None:
        # Forked, with a connection already open: a child must not use its parent's.
        assert storage.stat("race/0") is None
        names = [f"process-{number}" for number in range(6)]
        with multiprocessing.get_context("fork").Pool(len(names)) as pool:
            results = pool.starmap(_race, [(storage, name, 20) for name in names])
        for number in range(20):
            winners = [name for name, won in zip(names, results, strict=True) if won[number]]
            assert [storage.read(f"race/{number}").decode()] == winners

    def test_writers_and_deleters_do_not_disturb_each_other(self, storage: Storage) -> None:
        def come_and_go(name: str) -> None:
            for _ in range(25):
                storage.write(f"shared/folder/{name}", name.encode())
                assert storage.read(f"shared/folder/{name}") == name.encode()
                storage.delete(f"shared/folder/{name}")

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(come_and_go, [f"worker-{number}" for number in range(6)]))
        assert keys(storage) == []

    def test_storages_of_one_place_see_the_same(self, new_storage: Callable[[], Storage]) -> None:
        one, other = new_storage(), new_storage()
        one.write("key", b"1")
        assert keys(other) == []
        again = pickle.loads(pickle.dumps(one))
        assert again.url == one.url
        assert again.read("key") == b"1"

    def test_the_probe_finds_nothing_wrong_and_leaves_nothing(self, storage: Storage) -> None:
        probe(storage)
        assert keys(storage) == []
