"""`delete`: what it forgets, what --purge removes from storage, and what it refuses."""

from __future__ import annotations

from pathlib import Path

from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.contract.space import RUN
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.full import fill, write_run
from tests.harness.terminal import on_terminal


def _ended(harness: CliHarness, lang: str = "el") -> tuple[str, LocalStorage]:
    """A run that has ended, with an export and checkpoints as training leaves them."""
    run = harness.start(lang)
    harness.runner.wait(run, timeout=30)
    storage = LocalStorage(harness.storage)
    scratch = harness.storage.parent / f"scratch-{lang}"
    scratch.mkdir()
    write_run(storage, harness.runner.record(run).spec, scratch)
    return run, storage


def _keys(storage: LocalStorage) -> set[str]:
    return {entry.key for entry in storage.list("")}


def test_purge_removes_all_that_a_run_has_and_nothing_else(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run, storage = _ended(harness)
    storage.write("data/abc/train/manifest.json", b"{}")
    other = harness.start("sw")
    harness.runner.wait(other, timeout=30)
    before = _keys(storage)
    planned = jobrunner("delete", run, "--purge", "--dry-run")
    assert (planned.code, planned.out) == (0, "")
    assert f"{run} has in {storage.url}: " in planned.err
    assert "checkpoints " in planned.err
    assert "Prepared data and base models stay" in planned.err
    assert _keys(storage) == before
    done = jobrunner("delete", run, "--purge")
    assert (done.code, done.out) == (0, f"{run}\n")
    assert _keys(storage) == {key for key in before if not key.startswith(keys.run_prefix(run))}
    assert jobrunner("list", "-o", "name").out.split() == [other]
    assert jobrunner("delete", run, "--purge").code == 2


def test_a_live_run_is_not_purged(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start(hold="train")
    harness.begun(run, "train")
    answer = jobrunner("delete", run, "--purge")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"error: {run} has not ended: it is running. `jobrunner cancel {run}` stops it.\n"
    )
    assert (harness.storage / keys.run_file(run)).exists()


def test_a_run_that_was_forgotten_before_is_purged_where_its_objects_are(
    jobrunner: Jobrunner, tmp_path: Path
) -> None:
    storage = LocalStorage(tmp_path / "elsewhere")
    (tmp_path / "scratch").mkdir()
    fill(storage, tmp_path / "scratch")
    unknown = jobrunner("delete", RUN, "--purge")
    assert (unknown.code, unknown.out) == (2, "")
    assert f"There is no run {RUN}" in unknown.err
    done = jobrunner("delete", RUN, "--purge", "--storage", storage.url)
    assert (done.code, done.out) == (0, f"{RUN}\n")
    assert not list(storage.list(keys.run_prefix(RUN)))
    assert jobrunner("delete", RUN, "--storage", storage.url).code == 2
    assert jobrunner("delete", RUN, "--purge", "--storage", "typo").code == 2


def test_a_purge_asks_on_a_terminal(harness: CliHarness) -> None:
    run, storage = _ended(harness)
    before = _keys(storage)
    refused = on_terminal("delete", run, "--purge", answer="n\n")
    assert f"Delete {run} and all of this for good? [y/N]: " in refused.screen
    assert _keys(storage) == before
    assert on_terminal("delete", run, "--purge", "--yes").code == 0
    assert not list(storage.list(keys.run_prefix(run)))


def test_a_dry_run_of_delete_forgets_nothing(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    answer = jobrunner("delete", run, "--dry-run")
    assert (answer.code, answer.out) == (0, "")
    assert f"{run} (Succeeded) would be forgotten." in answer.err
    assert jobrunner("list", "-o", "name").out.split() == [run]
