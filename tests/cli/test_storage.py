"""`storage`: what takes room, what is damaged, its repair, and what no run uses."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.contract.space import DATA, MODEL, RUN
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.full import fill
from tests.harness.hints import assert_hint
from tests.harness.terminal import on_terminal

WEIGHTS = f"{MODEL}weights"


@pytest.fixture
def full(tmp_path: Path) -> LocalStorage:
    """A storage with two runs of one data set and one base model."""
    storage = LocalStorage(tmp_path / "storage")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    fill(storage, scratch)
    return storage


def test_du_shows_what_takes_room_and_who_uses_it(jobrunner: Jobrunner, full: LocalStorage) -> None:
    answer = jobrunner("storage", "du", "--storage", full.url)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].split() == ["PREPARED", "DATA", "SIZE", "WHAT"]
    assert lines[1].split() == [DATA, "1.3", "kB", "Greek,", "fleurs"]
    assert RUN in lines[2]
    assert lines[5].split()[0] == MODEL
    assert lines[8].split() == ["RUN", "CHECKPOINTS", "EXPORT", "RESULTS", "LOGS", "TOTAL"]
    assert lines[9].split()[0] in {RUN, builders.run_id(builders.spec(seed=1))}
    assert f"in {full.url}: prepared data 1.3 kB, base models " in lines[-1]


def test_du_as_json_adds_up(jobrunner: Jobrunner, full: LocalStorage) -> None:
    told = json.loads(jobrunner("storage", "du", "--storage", full.url, "-o", "json").out)
    assert told["storage"] == full.url
    assert told["bytes"] == sum(entry.size for entry in full.list(""))
    assert told["bytes"] == sum(
        each["bytes"] for kind in ("data", "models", "runs") for each in told[kind]
    )
    for run in told["runs"]:
        assert run["bytes"] == sum(part["bytes"] for part in run["parts"].values())
    assert told["data"][0]["runs"] == sorted(run["run"] for run in told["runs"])


def test_du_of_a_storage_that_holds_nothing_says_so(jobrunner: Jobrunner, tmp_path: Path) -> None:
    answer = jobrunner("storage", "du", "--storage", str(tmp_path))
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"{tmp_path} holds nothing of jobrunner.\n"


@pytest.mark.parametrize("more", [(), ("--deep",), ("--repair",)])
def test_a_check_of_a_folder_that_is_no_storage_says_so(
    jobrunner: Jobrunner, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-anna.txt").write_text("Dear Anna")
    place = tmp_path / "letters"
    answer = jobrunner("storage", "check", *more, "--storage", str(place))
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.endswith(f"{place} holds nothing of jobrunner.\n")
    assert "Nothing is damaged" not in answer.err


@pytest.mark.parametrize("command", ["du", "check"])
def test_a_storage_that_is_not_there_is_wrong_input(jobrunner: Jobrunner, command: str) -> None:
    answer = jobrunner("storage", command, "--storage", "typo")
    assert (answer.code, answer.out) == (2, "")
    assert "error: There is no storage at " in answer.err
    assert jobrunner("storage", command, "--storage", "s3:///").code == 2


@pytest.mark.usefixtures("here")
def test_du_fits_a_terminal_of_80_columns(full: LocalStorage, tmp_path: Path) -> None:
    long = builders.spec(model="owner/a-model-whose-name-is-longer-than-most", lang="el")
    run = builders.run_id(long)
    assert len(run) == 44
    full.write(keys.run_file(run), b"{}")
    shown = on_terminal("storage", "du", "--storage", full.url).screen
    # A path without spaces cannot be folded.
    assert all(len(line) <= 80 or full.url in line for line in shown.splitlines())
    assert run in shown.splitlines()


def test_check_names_each_damage_and_ends_with_1(jobrunner: Jobrunner, full: LocalStorage) -> None:
    sound = jobrunner("storage", "check", "--storage", full.url)
    assert (sound.code, sound.out) == (0, "")
    assert sound.err == f"9 complete folders in {full.url}.\nNothing is damaged.\n"
    full.delete(WEIGHTS)
    shard = f"{DATA}test/00000-abc.flacs"
    full.write(shard, b"x" * len(full.read(shard)))
    answer = jobrunner("storage", "check", "--storage", full.url)
    assert (answer.code, answer.out) == (1, f"{WEIGHTS} is missing\n")
    advice = f"`jobrunner storage check --repair --storage {full.url}` has them made again."
    assert answer.err.endswith(f"\nerror: 1 folder is damaged. {advice}\n")
    deep = jobrunner("storage", "check", "--deep", "--storage", full.url)
    assert deep.code == 1
    assert_hint("`{}` has them made again.", deep.err)
    assert f"`jobrunner storage check --repair --deep --storage {full.url}`" in deep.err
    assert deep.out.splitlines() == [
        f"{shard} differs from its SHA-256",
        f"{WEIGHTS} is missing",
    ]
    repaired = jobrunner(*deep.err.rpartition("`jobrunner ")[2].partition("`")[0].split())
    assert repaired.code == 0, repaired.err
    assert jobrunner("storage", "check", "--deep", "--storage", full.url).code == 0


def test_repair_says_what_it_does_and_a_dry_run_does_nothing(
    jobrunner: Jobrunner, full: LocalStorage
) -> None:
    commit = f"{keys.checkpoint_prefix(RUN, 4)}{keys.COMMIT}"
    full.delete(WEIGHTS)
    full.write(commit, b"")
    before = [entry.key for entry in full.list("")]
    asked = ("storage", "check", "--repair", "--storage", full.url)
    planned = jobrunner(*asked, "--dry-run")
    assert planned.code == 1
    assert [entry.key for entry in full.list("")] == before
    told = "counts as incomplete; a submit that needs it makes it complete"
    assert re.search(rf"^{MODEL} {told} \(el-whisper-\S+, el-whisper-\S+\)\.$", planned.err, re.M)
    step = keys.checkpoint_prefix(RUN, 4)
    told = "is removed; its run resumes from another checkpoint, or starts over."
    assert f"{step} {told}" in planned.err
    done = jobrunner(*asked)
    assert done.code == 0
    assert "2 folders repaired." in done.err
    again = jobrunner(*asked)
    assert (again.code, again.out) == (0, "")
    assert "Nothing is damaged." in again.err
    assert jobrunner("storage", "check", "--dry-run").code == 2


def test_repair_asks_on_a_terminal(here: Path, full: LocalStorage) -> None:
    full.delete(WEIGHTS)
    asked = ("storage", "check", "--repair", "--storage", full.url)
    refused = on_terminal(*asked, answer="n\n")
    assert refused.code == 1
    assert "Repair 1 folder? [y/N]: Nothing was changed." in refused.screen
    assert full.stat(f"{MODEL}manifest.json")
    agreed = on_terminal(*asked, answer="y\n")
    assert agreed.code == 0
    assert not full.stat(f"{MODEL}manifest.json")
    full.write(f"{MODEL}manifest.json", b"{")
    assert "?" not in on_terminal(*asked, "--yes").screen


def test_repair_leaves_alone_what_a_running_run_needs(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start(hold="train")
    harness.begun(run, "train")
    storage = LocalStorage(harness.storage)
    export = keys.export_prefix(run)
    storage.write(f"{export}manifest.json", b'{"files": {"a": {"size": 1, "sha256": ""}}}')
    answer = jobrunner("storage", "check", "--repair", "--storage", storage.url)
    assert (answer.code, answer.out) == (1, f"{export}a is missing\n")
    assert f"{export} is left alone: {run} is running." in answer.err
    assert storage.stat(f"{export}manifest.json")


def _older(storage: LocalStorage) -> None:
    """Makes everything two days old."""
    for path in Path(storage.url).rglob("*"):
        os.utime(path, times=(time.time() - 172_800,) * 2)


def test_prune_removes_what_no_run_uses_and_says_what_it_frees(
    jobrunner: Jobrunner, full: LocalStorage
) -> None:
    asked = ("storage", "prune", "--storage", full.url)
    assert jobrunner(*asked).err == f"Nothing in {full.url} is without a run that uses it.\n"
    for run in (RUN, builders.run_id(builders.spec(seed=1))):
        assert jobrunner("delete", "--purge", "--storage", full.url, run).code == 0
    # Somebody may be preparing it for a run that is not submitted yet.
    assert "is without a run" in jobrunner(*asked).err
    _older(full)
    before = [entry.key for entry in full.list("")]
    planned = jobrunner(*asked, "--dry-run")
    assert (planned.code, planned.out) == (0, f"{DATA}\n{MODEL}\n")
    assert re.search(rf"^  {DATA}: \d+ objects, 1\.3 kB$", planned.err, re.MULTILINE)
    assert planned.err.splitlines()[-1].startswith("Would be removed: 2 folders, ")
    assert [entry.key for entry in full.list("")] == before
    done = jobrunner(*asked)
    assert (done.code, done.out) == (0, f"{DATA}\n{MODEL}\n")
    assert done.err.splitlines()[-1].startswith("Removed: 2 folders, ")
    assert list(full.list("")) == []


def test_prune_keeps_what_an_ended_run_uses_and_asks_on_a_terminal(
    here: Path, full: LocalStorage
) -> None:
    other = builders.spec(lang="cy")
    full.write(f"{keys.data_prefix(other, 'cy')}train/index.jsonl", b"{}")
    _older(full)
    asked = ("storage", "prune", "--storage", full.url)
    refused = on_terminal(*asked, answer="n\n")
    assert "Remove 1 folder, 2 B, for good? [y/N]: Nothing was changed." in refused.screen
    assert on_terminal(*asked, answer="y\n").code == 0
    assert not list(full.list(keys.data_prefix(other, "cy")))
    assert list(full.list(DATA))
    assert list(full.list(MODEL))


def test_prune_removes_nothing_while_it_is_not_known_what_a_run_uses(
    jobrunner: Jobrunner, full: LocalStorage
) -> None:
    full.delete(keys.run_file(RUN))
    _older(full)
    before = [entry.key for entry in full.list("")]
    asked = ("storage", "prune", "--storage", full.url)
    answer = jobrunner(*asked)
    assert (answer.code, answer.out) == (2, "")
    assert_hint(
        "`jobrunner delete --purge --storage {} {}` removes it, if nobody needs it.", answer.err
    )
    assert [entry.key for entry in full.list("")] == before
    assert jobrunner(*answer.err.partition("`jobrunner ")[2].partition("`")[0].split()).code == 0
    assert jobrunner(*asked).code == 0
