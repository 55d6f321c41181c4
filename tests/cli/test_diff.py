"""`diff`: what differs between two runs, and how well each did."""

from __future__ import annotations

import json

import yaml

from jobrunner.spec import keys
from jobrunner.storage import open_storage
from tests import builders
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.results import measure


def _started(harness: CliHarness, **changes: object) -> str:
    spec = builders.spec(
        model="whisper-tiny", storage=str(harness.storage), resources__device="cpu", **changes
    )
    run = harness.runner.submit(spec).run
    harness.runner.wait(run, timeout=30)
    return run


def _measured(harness: CliHarness, run: str, tuned: float) -> None:
    for result in measure("el", 0.9, tuned, run=run):
        key = keys.result_file(run, result.which, "fleurs", "el")
        open_storage(str(harness.storage)).write(key, result.model_dump_json().encode())


def test_fields_and_rates_stand_side_by_side(jobrunner: Jobrunner, harness: CliHarness) -> None:
    first, second = _started(harness), _started(harness, train__dropout=0.1)
    _measured(harness, second, 0.2)
    answer = jobrunner("diff", first, second)
    assert answer.code == 0, answer.err
    head, *rows = answer.out.splitlines()
    assert head.split() == ["FIELD", first, second]
    assert [row.split() for row in rows[:1]] == [["train.dropout", "0.0", "0.1"]]
    base, tuned = rows[1:]
    assert base.startswith("WER el fleurs, base ")
    assert tuned.startswith("WER el fleurs, fine-tuned ")
    assert tuned.split()[4] == "-"

    shown = json.loads(jobrunner("diff", first, second, "-o", "json").out)
    assert yaml.safe_load(jobrunner("diff", first, second, "-o", "yaml").out) == shown
    assert shown["runs"] == [first, second]
    assert shown["fields"] == {"train.dropout": [0.0, 0.1]}
    assert [(each["model"], each["rates"][0]) for each in shown["results"]] == [
        ("base", None),
        ("tuned", None),
    ]
    assert 0.1 < shown["results"][1]["rates"][1]["value"] < 0.3


def test_equal_specs_have_nothing_to_show(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    answer = jobrunner("diff", run, "@latest")
    assert (answer.code, answer.out, answer.err) == (0, "", "The specs are equal.\n")
