"""What this machine remembers of a run: of this version, of the first, and of later ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobrunner.backends.local.records import LocalRun
from jobrunner.errors import UnreadableRun
from jobrunner.spec.record import RunRecord, new_record, read_record, write_record
from tests import builders
from tests.harness.newer import UNKNOWN, UNKNOWN_PATHS, UNREADABLE, newer_text
from tests.harness.paths import GOLDEN

RECORD = new_record(builders.spec(train__steps=10, train__warmup_steps=1))
HOW = {"submitted": 1.5, "command": ["python"], "grace_seconds": 30.0, "retry_seconds": 2.0}


def local_run(**changes: Any) -> LocalRun:
    return LocalRun.model_validate({**HOW, "record": RECORD, **changes})


def test_a_run_goes_through_its_file_unchanged() -> None:
    run = local_run()
    assert LocalRun.model_validate_json(run.model_dump_json()) == run
    assert json.loads(run.model_dump_json())["record"] == json.loads(write_record(RECORD))
    assert isinstance(run.record, RunRecord)
    assert run.spec == RECORD.spec


@pytest.mark.parametrize(
    "case", json.loads(GOLDEN.read_text())["version 1"], ids=lambda case: case["run"]
)
def test_a_run_of_version_1_has_the_spec_alone(case: dict[str, Any]) -> None:
    written = {**HOW, "spec": json.loads(case["text"])}
    run = LocalRun.model_validate_json(json.dumps(written))
    assert run.record == read_record(case["text"])
    assert (run.record.run, run.spec.version) == (case["run"], 1)
    assert run.command == ("python",)
    # It is written in the form of today, and is the run that it was.
    assert LocalRun.model_validate_json(run.model_dump_json()) == run


def test_fields_that_only_a_newer_client_knows_are_named() -> None:
    written = {**HOW, "record": json.loads(newer_text(RECORD, UNKNOWN)), "host": "a"}
    run = LocalRun.model_validate_json(json.dumps(written))
    assert set(run.record.unknown) == UNKNOWN_PATHS
    assert run.spec == RECORD.spec


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_run_that_only_a_newer_client_can_read_is_unreadable(name: str) -> None:
    written = {**HOW, "record": json.loads(newer_text(RECORD, UNREADABLE[name]))}
    with pytest.raises(UnreadableRun, match=r"made by a newer jobrunner \(9\.9\.9\)"):
        LocalRun.model_validate_json(json.dumps(written))
