"""`list`: a row for each run, whoever made it."""

from __future__ import annotations

import json

import pytest

from jobrunner.cli.list import _rate
from jobrunner.spec.record import read_record
from jobrunner.states import Progress
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.newer import MADE_BY, newer_text


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress(), ""),
        (Progress(metric="wer"), ""),
        (Progress(rate=0.3), ""),
        (Progress(metric="wer", rate=0.134), "WER 13.4%"),
        (Progress(metric="cer", rate=0.0), "CER 0.0%"),
        (Progress(metric="loss", rate=0.0), "loss 0.000"),
    ],
)
def test_the_rate_of_a_row_is_the_latest_with_its_metric(progress: Progress, shown: str) -> None:
    assert _rate(progress) == shown


def test_a_run_of_a_newer_client_is_a_row_that_says_so(
    jobrunner: Jobrunner, harness: CliHarness, here: object
) -> None:
    run, other = harness.start("el"), harness.start("sw")
    for each in (run, other):
        harness.runner.wait(each, timeout=30)
    [file] = harness.control.parent.rglob(f"state/runs/{run}/record.json")
    written = json.loads(file.read_text())
    record = read_record(json.dumps(written["record"]))
    written["record"] = json.loads(newer_text(record, {"version": 3}))
    file.write_text(json.dumps(written))

    answer = jobrunner("list")
    assert (answer.code, answer.err) == (0, "")
    _, *rows = answer.out.splitlines()
    found = {row.split()[0]: row for row in rows}
    assert found.keys() == {run, other}
    assert MADE_BY in found[run]
    assert "Succeeded" in found[other]
    status = jobrunner("status", run)
    assert (status.code, status.out.splitlines()[-1]) == (0, MADE_BY)
    refused = jobrunner("logs", run)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith(f"error: {MADE_BY}")
    # It is not older than a day, though its record does not tell.
    assert jobrunner("prune", "--older-than", "1").out == ""
    assert jobrunner("cancel", run).err == f"{run} has already ended: stopped.\n"
    assert jobrunner("delete", run).out == f"{run}\n"
    assert jobrunner("list", "-o", "name").out.split() == [other]


def test_watching_is_refused_where_nothing_can_be_repainted(jobrunner: Jobrunner) -> None:
    piped = jobrunner("list", "--watch")
    assert (piped.code, piped.out) == (2, "")
    assert piped.err.startswith("error: --watch: repaints a terminal, and this output goes")
    form = jobrunner("list", "--watch", "-o", "json")
    assert (form.code, form.out) == (2, "")
    assert form.err == "error: --watch: repaints a table, not json. Leave out -o.\n"
