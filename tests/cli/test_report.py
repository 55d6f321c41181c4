"""`report`: results of runs here and elsewhere, in every form."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from jobrunner.cli import follow
from jobrunner.spec import keys
from jobrunner.spec.record import RunRecord, write_record
from jobrunner.storage import folders, open_storage
from tests import builders
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.paths import MICRO
from tests.harness.results import pair, store

REFERENCES = [f"καλημέρα κόσμε {number}" for number in range(40)]


RUN = "el-whisper-tiny-1f6e09ab"


def _write(storage: Path, run: str, language: str = "el") -> None:
    """A base model that is wrong everywhere, and a tuned one that is right."""
    wrong = ["λάθος"] * len(REFERENCES)
    for result in pair(REFERENCES, wrong, REFERENCES, run=run, language=language):
        key = keys.result_file(run, result.which, "fleurs", language)
        open_storage(str(storage)).write(key, result.model_dump_json().encode())


def _write_texts(storage: Path, tuned: list[str]) -> None:
    """A run whose fine-tuned model wrote these texts first, and then the right ones."""
    written = [*tuned, *REFERENCES[len(tuned) :]]
    _, result = pair(REFERENCES, ["λάθος"] * len(REFERENCES), written)
    store(open_storage(str(storage)), result, REFERENCES, written)


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
    assert "CER is that of the fine-tuned model." in " ".join(answer.out.split())


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


def test_the_report_of_one_run_says_where_its_model_is_and_what_loads_it(
    jobrunner: Jobrunner, here: Path
) -> None:
    storage = open_storage(str(here / "there"))
    _write(here / "there", RUN)
    record = RunRecord(run=RUN, digest="", spec=builders.spec(model="whisper-tiny"))
    storage.write(keys.run_file(RUN), write_record(record).encode())
    assert jobrunner("report", "--storage", "there").err == ""
    folders.publish(storage, keys.export_prefix(RUN), MICRO)
    answer = jobrunner("report", "--storage", "there")
    assert f"The model is in {storage.url}/runs/{RUN}/export\n" in answer.err
    assert 'pipeline("automatic-speech-recognition"' in answer.err
    assert jobrunner("report", "--storage", "there", "-o", "json").err == ""
    _write(here / "there", "el-whisper-tiny-00c0ffee")
    assert jobrunner("report", "--storage", "there").err == ""


def test_a_result_that_cannot_be_read_is_measured_again_as_the_hint_says(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    _write(harness.storage, run)
    result = harness.storage / keys.result_file(run, "tuned", "fleurs", "el")
    result.write_text("{}")
    answer = jobrunner("report", run)
    assert f"Delete it, and `jobrunner delete {run}`; submitted again, that run" in answer.err
    result.unlink()
    assert jobrunner("delete", "--yes", run).code == 0
    assert harness.start() == run
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"
    began = [line.split()[2] for line in (harness.control / "journal").read_text().splitlines()]
    assert began.count("evaluate-el") >= 4  # begins and ends, twice


FORMS = ((), ("-o", "json"), ("-o", "csv"), ("-o", "html"), ("--html", "page.html"))


@pytest.mark.parametrize("form", FORMS)
def test_a_run_that_does_not_exist_is_refused_in_every_form(
    jobrunner: Jobrunner, here: Path, form: tuple[str, ...]
) -> None:
    _write(here / "there", RUN)
    answer = jobrunner("report", "nosuch", *form)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: There is no run nosuch on this machine.")
    other = jobrunner("report", "--storage", "there", RUN, "nosuch", *form)
    assert (other.code, other.out) == (2, "")
    assert other.err.startswith(f"error: There is no run nosuch in {here / 'there'}.")
    assert not (here / "page.html").exists()


def test_the_newest_run_beside_one_that_does_not_exist_is_not_shown_alone(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    _write(harness.storage, run)
    answer = jobrunner("report", "@latest", "nosuch")
    assert (answer.code, answer.out) == (2, "")
    assert "There is no run nosuch" in answer.err


def test_a_storage_that_does_not_exist_is_refused_and_an_empty_one_is_named(
    jobrunner: Jobrunner, here: Path
) -> None:
    answer = jobrunner("report", "--storage", "/nonexistent")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: storage: there is no folder /nonexistent.\n"
    (here / "empty").mkdir()
    empty = jobrunner("report", "--storage", "empty")
    assert (empty.code, empty.err) == (0, "There are no results yet. empty holds none.\n")


def test_csv_has_one_line_for_each_model_and_markdown_is_a_table(
    jobrunner: Jobrunner, here: Path
) -> None:
    _write(here / "there", RUN)
    rows = list(
        csv.DictReader(jobrunner("report", "--storage", "there", "-o", "csv").out.splitlines())
    )
    assert [(row["run"], row["model"]) for row in rows] == [(RUN, "base"), (RUN, "tuned")]
    assert [float(row["wer.marks.value"]) for row in rows] == [1.0, 0.0]
    table = jobrunner("report", "--storage", "there", "-o", "markdown").out
    assert table.splitlines()[0].startswith("| Language | Test set | Metric |")
    assert table.splitlines()[2].startswith("| Greek (el) | fleurs test | WER | 100.0 [")


def test_examples_stand_below_the_table_word_under_word(jobrunner: Jobrunner, here: Path) -> None:
    _write_texts(here / "there", ["κόσμε", "καλημέρα μικρέ κόσμε 1"])
    shown = jobrunner("report", "--storage", "there", "--examples", "2").out
    assert "The 2 worst of 40 utterances" in shown
    first = shown.index("WER 67 %, 2 left out  (clip-000)")
    assert (
        "ref   καλημέρα κόσμε 0\nhyp   ******** κόσμε *\n      D              D\n" in shown[first:]
    )
    second = shown.index("WER 33 %, 1 added  (clip-001)")
    assert "ref   καλημέρα ***** κόσμε 1\nhyp   καλημέρα μικρέ κόσμε 1\n" in shown[second:]
    assert "WER 0 %, no error" in shown[shown.index("The 2 median of 40") :]
    told = json.loads(
        jobrunner("report", "--storage", "there", "--examples", "1", "-o", "json").out
    )
    (worst,) = told["results"][0]["examples"]["worst"]
    assert (worst["clip"], worst["hypothesis"]) == ("clip-000", "κόσμε")
    assert [pair["kind"] for pair in worst["aligned"]] == ["deletion", "equal", "deletion"]


def test_examples_never_send_a_control_character_to_the_terminal(
    jobrunner: Jobrunner, here: Path
) -> None:
    _write_texts(here / "there", ["κα\x1b[2Jλη \u202eμέρα"])
    shown = jobrunner("report", "--storage", "there", "--examples", "1").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b" in shown


def test_examples_that_cannot_be_are_explained(jobrunner: Jobrunner, here: Path) -> None:
    _write(here / "there", RUN)
    answer = jobrunner("report", "--storage", "there", "--examples", "2")
    assert answer.code == 0
    assert "predictions.parquet is not in storage: no examples of it." in answer.err
    refused = jobrunner("report", "--storage", "there", "--examples", "2", "-o", "csv")
    assert (refused.code, refused.out) == (2, "")
    assert "--examples: csv has no place for them." in refused.err
    assert jobrunner("report", "--examples", "0").code == 2
