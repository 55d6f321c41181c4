"""`report`: results of runs here and elsewhere, in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from jobrunner.cli import follow
from jobrunner.spec import keys
from jobrunner.storage import open_storage
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.results import pair

REFERENCES = [f"καλημέρα κόσμε {number}" for number in range(40)]


def _write(storage: Path, run: str, language: str = "el") -> None:
    """A base model that is wrong everywhere, and a tuned one that is right."""
    wrong = ["λάθος"] * len(REFERENCES)
    for result in pair(REFERENCES, wrong, REFERENCES, run=run, language=language):
        key = keys.result_file(run, result.which, "fleurs", language)
        open_storage(str(storage)).write(key, result.model_dump_json().encode())


def test_results_outlive_their_run_and_are_found_by_storage(
    jobrunner: Jobrunner, here: Path
) -> None:
    _write(here / "there", "el-whisper-tiny-1f6e09ab")
    answer = jobrunner("report", "--storage", "there")
    assert (answer.code, answer.err) == (0, "")
    assert "Greek" in answer.out
    assert "100.0 [100.0, 100.0]" in answer.out
    assert "−100.0" in answer.out
    told = json.loads(jobrunner("report", "--storage", "there", "-o", "json").out)
    assert told["version"] == 1
    (row,) = told["results"]
    assert (row["run"], row["tuned"]["lead"]["value"]) == ("el-whisper-tiny-1f6e09ab", 0.0)
    assert yaml.safe_load(jobrunner("report", "--storage", "there", "-o", "yaml").out) == told
    assert "el-whisper-tiny-1f6e09ab" in jobrunner("report", "--storage", "there", "-o", "wide").out
    other = jobrunner("report", "--storage", "there", "sw-whisper-tiny-00000000")
    assert (other.code, other.out) == (0, "")
    assert "There are no results yet." in other.err


def test_results_of_a_run_are_found_where_it_put_them(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    assert "There are no results yet." in jobrunner("report").err
    _write(harness.storage, run)
    _write(harness.storage, run, "sw")
    for arguments in ((), ("@latest",), (run,)):
        answer = jobrunner("report", *arguments)
        assert "Greek" in answer.out
        assert "Swahili" in answer.out
    followed = jobrunner("status", "--follow", run)
    assert followed.code == 0
    assert "−100.0" in followed.out


def test_the_results_of_a_submit_leave_its_stdout_to_the_id(
    harness: CliHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    _write(harness.storage, run)
    follow.finish(harness.runner, run, show=False, timeout=30, err=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "−100.0" in printed.err


def test_a_page_is_written_beside_the_table(jobrunner: Jobrunner, here: Path) -> None:
    _write(here / "there", "el-whisper-tiny-1f6e09ab")
    answer = jobrunner("report", "--storage", "there", "--html", "page.html")
    assert answer.err == "Wrote page.html.\n"
    page = (here / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert jobrunner("report", "--storage", "there", "-o", "html").out.strip() == page.strip()
    closed = jobrunner("report", "--storage", "there", "--html", "no/such/page.html")
    assert closed.code == 2
    assert closed.err == "error: --html: no/such/page.html: no such file or directory.\n"
