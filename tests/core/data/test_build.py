"""Whatever ends a preparation, the next one goes on to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.core import prepare
from jobrunner.core.data import build, shards
from jobrunner.errors import Interrupted
from jobrunner.spec import RunSpec
from jobrunner.storage.local import LocalStorage
from tests.harness.paths import ROOT
from tests.harness.processes import CORE, stage_variables
from tests.harness.speech import content, make_context, make_spec, report, rows, write_speech
from tests.harness.waiting import until

CLIPS = 1200
SECONDS_TO_WAIT = 60.0


class Killed(BaseException):
    """Ends the stage as SIGKILL would: nothing may catch it."""


class Dying(LocalStorage):
    """A folder whose process dies before one of its writes; before the next is after this one."""

    def __init__(self, root: Path, at: int) -> None:
        super().__init__(root)
        self.writes = 0
        self._at = at

    def write(self, key: str, data: bytes) -> None:
        self._count()
        super().write(key, data)

    def write_file(self, key: str, path: Path) -> None:
        self._count()
        super().write_file(key, path)

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self._at:
            raise Killed


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Speech of a few shards, prepared in this process."""
    monkeypatch.setattr(build, "CLIPS_PER_SHARD", 2)
    monkeypatch.setattr(prepare, "cores", lambda: 1)
    write_speech(tmp_path / "speech", rows(train=5, test=2, validation=1))
    return tmp_path


def _spec(root: Path, name: str) -> RunSpec:
    return make_spec(root).model_copy(update={"storage": str(root / name / "storage")})


def test_a_prepare_killed_at_any_write_goes_on_to_the_same_bytes(small: Path) -> None:
    spec = _spec(small, "undisturbed")
    counted = Dying(Path(spec.storage), 0)
    prepare.run(make_context(spec, storage=counted))
    expected = content(Path(spec.storage))
    assert counted.writes > 15
    for at in range(1, counted.writes + 1):
        spec = _spec(small, str(at))
        root = Path(spec.storage)
        with pytest.raises(Killed):
            prepare.run(make_context(spec, storage=Dying(root, at)))
        prepare.run(make_context(spec))
        assert content(root) == expected


def test_one_killed_again_and_again_gets_there_too(small: Path) -> None:
    spec = _spec(small, "undisturbed")
    prepare.run(make_context(spec))
    expected = content(Path(spec.storage))
    spec = _spec(small, "unlucky")
    for _ in range(60):
        # The model of a folder without a fingerprint is brought each time: three writes.
        try:
            prepare.run(make_context(spec, storage=Dying(Path(spec.storage), 6)))
            break
        except Killed:
            continue
    assert content(Path(spec.storage)) == expected


def test_sigterm_stops_between_shards_and_keeps_those_finished(small: Path) -> None:
    spec = _spec(small, "stopped")
    root = Path(spec.storage)

    class Stopping(LocalStorage):
        def write(self, key: str, data: bytes) -> None:
            super().write(key, data)
            if "/train/" in key and key.endswith(".json"):
                context.stop.requested_at = time.monotonic()

    context = make_context(spec, storage=Stopping(root))
    with pytest.raises(Interrupted):
        prepare.run(context)
    names = {Path(key).name for key in content(root) if "/train/" in key}
    # Whichever was first: each preparation begins elsewhere.
    assert len(names & {"00000.json", "00001.json"}) == 1
    assert "manifest.json" not in names
    prepare.run(make_context(spec))
    assert report(spec)["splits"]["train"]["utterances"] == 5


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Speech of 14 shards, and what it becomes undisturbed, by worker processes."""
    root = tmp_path_factory.mktemp("large")
    write_speech(root / "speech", rows(train=CLIPS, test=20, validation=20))
    done = _start(root, "undisturbed")
    assert done.wait(SECONDS_TO_WAIT) == 0
    return root, content(root / "undisturbed/storage")


def _start(root: Path, name: str, **more: Any) -> subprocess.Popen[str]:
    """`prepare` as the backends start it."""
    process = subprocess.Popen(
        [*CORE, "prepare"],
        env={**os.environ, **_variables(root, name)},
        cwd=ROOT,
        text=True,
        **more,
    )
    # With two cores at most four shards are under way at once, on any machine.
    os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:2])
    return process


def _variables(root: Path, name: str) -> dict[str, str]:
    return stage_variables(_spec(root, name), root / name)


def _finished(root: Path, name: str) -> list[Path]:
    return sorted((root / name / "storage/data").glob("*/train/?????.json"))


def _processes(variable: str) -> Iterator[int]:
    """Processes that were started with this in their environment."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (place / "environ").read_bytes():
                yield int(place.name)
        except OSError:
            continue


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_stopped_leaves_no_worker_and_loses_no_shard(
    large: tuple[Path, dict[str, bytes]], sent: signal.Signals
) -> None:
    root, expected = large
    name = sent.name
    process = _start(root, name, stdout=subprocess.PIPE)
    until(lambda: len(_finished(root, name)) >= 2, "two shards", SECONDS_TO_WAIT, 0.005)
    process.send_signal(sent)
    output, _ = process.communicate(timeout=SECONDS_TO_WAIT)
    until(
        lambda: not [*_processes(f"JOBRUNNER_SPEC={root / name}")],
        "all workers are gone",
        SECONDS_TO_WAIT,
        0.005,
    )
    finished = _finished(root, name)
    assert len(finished) < CLIPS // shards.CLIPS_PER_SHARD
    if sent is signal.SIGTERM:
        assert process.returncode == 143
        assert "Stopped; the finished shards are kept." in output
    times = {path: path.stat().st_mtime_ns for path in finished}
    assert _start(root, name).wait(SECONDS_TO_WAIT) == 0
    assert content(root / name / "storage") == expected
    assert {path: path.stat().st_mtime_ns for path in finished} == times
    assert not list((root / name / "jobrunner").glob("prepare-*"))


def test_two_prepares_at_once_give_one_data_set(large: tuple[Path, dict[str, bytes]]) -> None:
    root, expected = large
    both = [_start(root, "both"), _start(root, "both")]
    assert [process.wait(SECONDS_TO_WAIT) for process in both] == [0, 0]
    assert content(root / "both/storage") == expected


def test_a_shard_that_another_preparation_finished_meanwhile_is_not_made_again(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def make(task: shards.Task) -> shards.Shard:
        made.append(task.number)
        if len(made) == 1:
            prepare.run(make_context(make_spec(small)))  # another run of the same sweep
        return whole(task)

    whole = shards.make
    monkeypatch.setattr(shards, "make", make)
    spec = make_spec(small)
    prepare.run(make_context(spec))
    alone = sum(-(-clips // 2) for clips in (5, 2, 1))
    assert len(made) == alone + 1
    assert report(spec)["splits"]["train"]["utterances"] == 5


def test_a_full_disk_keeps_the_finished_shards_and_more_room_goes_on(
    large: tuple[Path, dict[str, bytes]],
) -> None:
    root, expected = large
    place = root / "full/storage"
    place.mkdir(parents=True)
    script = (
        'mount -t tmpfs -o size=2m tmpfs "$0" && "$@"; echo "exit code $?"; '
        'find "$0" -name "0*.json" | wc -l; '
        'mount -o remount,size=64m "$0" && "$@" && cp -r "$0" "$0.copy"'
    )
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, place),
            *(*CORE, "prepare"),
        ],
        env={**os.environ, **_variables(root, "full")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS_TO_WAIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "error: No room left to write data/" in done.stdout
    assert "exit code 3\n" in done.stdout
    kept = int(done.stdout.partition("exit code 3\n")[2].splitlines()[0])
    assert kept >= 2
    assert content(Path(f"{place}.copy")) == expected
