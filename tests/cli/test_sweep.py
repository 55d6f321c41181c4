"""A sweep, typed: its plan, its runs, and the table that names the best."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import jobrunner as package
from jobrunner.errors import UsageError
from jobrunner.runner import api
from jobrunner.spec import keys
from jobrunner.storage import open_storage
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.hints import assert_hint
from tests.harness.paths import EXAMPLES, MICRO
from tests.harness.results import pair

SPEECH = EXAMPLES / "speech/el"
LIKE = ("--lang", "el", "--model", "whisper-tiny", "--local", "--device", "cpu")
CPU = {"resources.device": "cpu"}
SEEDS = ("--sweep", "seed=1,2")


def _few_clips(root: Path) -> Path:
    """A dozen clips of the example corpus."""
    with (SPEECH / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for split in ("train", "validation", "test") for row in _of(rows, split)]
    for row in chosen:
        place = root / row["file_name"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(SPEECH / row["file_name"])
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return root


def _of(rows: list[dict[str, str]], split: str) -> list[dict[str, str]]:
    return [row for row in rows if row["split"] == split][: 8 if split == "train" else 2]


@pytest.mark.timeout(300)
def test_a_sweep_trains_each_value_and_names_the_best(jobrunner: Jobrunner, tmp_path: Path) -> None:
    command = (
        *("submit", "--lang", "el", "--model", str(MICRO), "--local", "--device", "cpu"),
        *("--data", f"folder:{_few_clips(tmp_path / 'speech')}", "--steps", "6"),
        *("--set", "train.batch_seconds=6", "--set", "evaluate.base=no"),
        *("--sweep", "train.learning_rate=1e-3,1e-9", "--storage", str(tmp_path / "storage")),
    )
    plan = jobrunner(*command, "--dry-run")
    assert (plan.code, plan.err) == (0, "")
    assert plan.out.startswith("sweep     2 runs, group el-sweep-")
    group = plan.out.splitlines()[0].split()[-1]
    runs = [line.split()[-1] for line in plan.out.splitlines()[-2:]]
    assert plan.out.splitlines()[-3].split() == ["train.learning_rate", "RUN"]
    answer = jobrunner(*command, "--wait")
    assert answer.code == 0, answer.err
    assert answer.out.split() == runs
    assert "Started 2 runs.\n" in answer.err
    assert f"2 of 2 runs have ended: {runs[1]} succeeded\n" in answer.err
    assert "Best: el-whisper-micro-" in answer.err
    assert answer.err.endswith(f"  jobrunner report --group {group}\n")
    # One base model and one data set, whatever the number of runs.
    for shared in ("models", "data"):
        assert len(list((tmp_path / "storage" / shared).iterdir())) == 1
    again = jobrunner(*command)
    assert again.out.split() == runs
    assert "Started 0 runs of 2; the others exist already.\n" in again.err
    table = jobrunner("report", "--group", group)
    assert table.code == 0
    head, *rows = table.out.splitlines()[:3]
    assert head.split() == ["train.learning_rate", "WER", "%", "RUN"]
    assert sorted(row.split()[-1] for row in rows) == sorted(runs)
    assert float(rows[0].split()[1]) <= float(rows[1].split()[1])


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (("--sweep", "seed=1"), "--sweep: one value makes one run."),
        (("--sweep", "seed"), "--sweep: 'seed' is not KEY=VALUE,VALUE."),
        (("--sweep", "sed=1,2"), "sed: there is no such key (--sweep). Did you mean seed?"),
        (("--sweep", "seed=1,x"), "seed: 'x' is not a whole number (from --sweep)."),
        ((*SEEDS, "--seed", "3"), "seed: is given twice, by --seed and by --sweep."),
        ((*SEEDS, "--again"), "--sweep: --again finds a number for one run."),
        ((*SEEDS, "--timeout", "3"), "--timeout: without waiting it has no meaning."),
        (("--sweep", "resources.cpu=1,2"), "--sweep: two of the runs are the same one."),
    ],
)
def test_a_wrong_sweep_starts_nothing(
    jobrunner: Jobrunner, typed: tuple[str, ...], problem: str
) -> None:
    answer = jobrunner("submit", *LIKE, *typed)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error: {problem}")
    assert jobrunner("list", "-o", "name").out == ""


def test_a_sweep_with_a_failed_run_ends_with_an_error_that_names_it(
    jobrunner: Jobrunner, harness: CliHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "open_runner", lambda *_, **__: harness.runner)
    (harness.control / "codes-train").write_text("65")  # the first attempt of all
    answer = jobrunner("submit", *LIKE, *SEEDS, "--storage", str(harness.storage), "--follow")
    first, second = answer.out.split()
    assert answer.code == 1
    assert f"1 of 2 runs have ended: {first} failed\n" in answer.err
    assert f"2 of 2 runs have ended: {second} " in answer.err
    [told] = [line for line in answer.err.splitlines() if "runs did not succeed, " in line]
    bad = told.split(", such as ")[1].split(". ")[0]
    assert_hint(f"`jobrunner logs {bad}` shows why.", told)
    logs = jobrunner("logs", bad)
    assert logs.code == 0, logs.err
    assert "error: train cannot go on" in logs.out


def test_a_sweep_that_takes_too_long_goes_on(
    jobrunner: Jobrunner, harness: CliHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "open_runner", lambda *_, **__: harness.runner)
    (harness.control / "hold-train").touch()
    waiting = ("--wait", "--timeout", "1")
    answer = jobrunner("submit", *LIKE, *SEEDS, "--storage", str(harness.storage), *waiting)
    assert answer.code == 4
    first, second = answer.out.split()
    assert f"error: {first} has not ended after 1 s. All runs continue;" in answer.err
    assert_hint(f"All runs continue; `jobrunner status {first}` shows it.", answer.err)
    assert {status.run for status in harness.runner.list()} == {first, second}
    shown = jobrunner("status", first)
    assert shown.code == 0, shown.err
    assert "Running" in shown.out


def test_a_group_that_no_run_has_is_refused_and_one_that_submit_printed_is_not(
    jobrunner: Jobrunner, harness: CliHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = jobrunner("report", "--group", "el-sweep-0")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: --group: no run is of the group 'el-sweep-0'.")
    assert_hint("A submit with --sweep prints the name of its group.", answer.err)
    monkeypatch.setattr(api, "open_runner", lambda *_, **__: harness.runner)
    submitted = jobrunner("submit", *LIKE, *SEEDS, "--storage", str(harness.storage), "--wait")
    assert submitted.code == 0, submitted.err
    printed = submitted.err.splitlines()[0].split("group ")[1]
    runs = submitted.out.split()
    for run in runs:
        for result in pair(["ναι"] * 9, ["όχι"] * 9, ["ναι"] * 9, run=run, language="el"):
            key = keys.result_file(run, result.which, "fleurs", "el")
            open_storage(str(harness.storage)).write(key, result.model_dump_json().encode())
    shown = jobrunner("report", "--group", printed)
    assert shown.code == 0, shown.err
    assert sorted(line.split()[-1] for line in shown.out.splitlines()[1:3]) == sorted(runs)


def test_a_sweep_from_python_checks_all_of_its_runs_before_it_starts_one(here: Path) -> None:
    with pytest.raises(UsageError, match=r"train\.dropout: 0.95 is more than 0.9"):
        package.sweep({"train.dropout": [0.0, 0.95]}, lang="el", backend="local", settings=CPU)
    assert package.runs() == []
