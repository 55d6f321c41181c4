"""A run's record is read whichever client wrote it, or refused in one line that says why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from jobrunner.catalog import installed
from jobrunner.errors import SpecError, UnreadableRun
from jobrunner.spec import RunSpec
from jobrunner.spec.parsing import parse
from jobrunner.spec.record import FORMAT, RunRecord, new_record, read_record, write_record
from tests import builders
from tests.harness.newer import MADE_BY, UNKNOWN, UNKNOWN_PATHS, UNREADABLE, newer_text
from tests.harness.specs import specs

RECORD = new_record(builders.spec())


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(specs())
def test_any_run_that_is_written_is_read_back(spec: RunSpec) -> None:
    record = new_record(spec)
    assert read_record(write_record(record)) == record
    assert read_record(write_record(record).encode()) == record


def test_a_record_says_only_what_is_not_a_default() -> None:
    spec = builders.spec(train__steps=5, train__warmup_steps=1)
    written = json.loads(write_record(new_record(spec)))
    assert (written["version"], written["client"]) == (FORMAT, installed.__version__)
    assert written["run"] == f"el-whisper-small-{written['digest'][:8]}"
    assert written["spec"] == {
        "version": 2,
        "lang": "el",
        "storage": "s3://bucket/runs",
        "train": {"steps": 5, "warmup_steps": 1},
        "cluster": {"image": spec.cluster.image},
    }


def test_a_record_names_its_image_whose_default_is_another_in_each_version() -> None:
    written = json.loads(write_record(RECORD))
    assert written["spec"]["cluster"] == {"image": RECORD.spec.cluster.image}
    # As a client of another version finds it.
    written["spec"]["cluster"]["image"] = "registry.example/jobrunner:0.0.9"
    found = read_record(json.dumps(written))
    assert found.spec.cluster.image == "registry.example/jobrunner:0.0.9"
    assert found.run == RECORD.run
    again = json.loads(write_record(found))
    assert again["spec"]["cluster"] == {"image": "registry.example/jobrunner:0.0.9"}


def test_a_run_that_went_beyond_what_makes_sense_can_still_be_looked_at() -> None:
    written = json.loads(write_record(RECORD))
    written["spec"]["train"] = {"learning_rate": 1000.0, "dropout": 1.0}
    written["spec"]["resources"] = {"workers": 100_000}
    found = read_record(json.dumps(written)).spec
    assert (found.train.learning_rate, found.train.dropout) == (1000.0, 1.0)
    assert found.resources.workers == 100_000
    with pytest.raises(SpecError, match=r"learning_rate: 1000 is more than 0\.1"):
        parse(found.model_dump(mode="json"))


def test_the_id_of_a_run_is_data_and_is_not_computed_again() -> None:
    written = json.loads(write_record(RECORD))
    other = {**written, "run": "el-anything-00000000", "digest": "ab" * 32}
    found = read_record(json.dumps(other))
    assert (found.run, found.digest) == ("el-anything-00000000", "ab" * 32)
    assert found.spec == RECORD.spec
    assert read_record(write_record(found)) == found


def test_a_run_with_other_options_keeps_its_id_and_names_the_client_that_writes_it() -> None:
    before = read_record(newer_text(RECORD, {}))
    assert before.client == "9.9.9"
    after = before.with_spec(before.spec.evaluating(("el", "en")))
    assert (after.run, after.digest) == (before.run, before.digest)
    assert after.client == installed.__version__
    assert after.spec.evaluate.languages == ("el", "en")


def test_fields_that_are_not_known_here_are_left_out_and_named() -> None:
    found = read_record(newer_text(RECORD, UNKNOWN))
    assert set(found.unknown) == UNKNOWN_PATHS
    assert (found.run, found.digest, found.client) == (RECORD.run, RECORD.digest, "9.9.9")
    assert found.spec == RECORD.spec


def test_a_run_of_a_newer_client_with_nothing_new_is_a_run_like_the_others() -> None:
    found = read_record(newer_text(RECORD, {}))
    assert found.unknown == ()
    assert found.spec == RECORD.spec


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_a_newer_client_wrote_in_another_way_is_said_to_be_newer(name: str) -> None:
    with pytest.raises(UnreadableRun) as caught:
        read_record(newer_text(RECORD, UNREADABLE[name]))
    assert caught.value.message == MADE_BY
    assert "pip install --upgrade jobrunner" in caught.value.hint


@pytest.mark.parametrize("name", [name for name in UNREADABLE if name != "a form of its own"])
def test_what_this_client_could_not_have_written_names_the_field(name: str) -> None:
    written = json.loads(newer_text(RECORD, UNREADABLE[name]))
    written["client"] = installed.__version__
    with pytest.raises(UnreadableRun, match=r"^Its record cannot be read: ") as caught:
        read_record(json.dumps(written))
    assert "newer" not in caught.value.message
    assert "\n" not in str(caught.value)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(write_record(RECORD)).items() if key != name}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        *(json.dumps(without(name)) for name in ("version", "run", "digest", "client")),
        *(
            json.dumps({**without(name), name: value})
            for name, value in (
                ("spec", None),
                ("spec", []),
                ("spec", {}),
                ("version", "2"),
                ("run", 5),
                ("run", ""),
                ("run", "../../etc"),
                ("run", "a\nb"),
            )
        ),
    ],
    ids=lambda text: str(text)[:60],
)
def test_a_record_that_is_damaged_is_refused_in_one_line(text: str | bytes) -> None:
    with pytest.raises(UnreadableRun, match=r"^Its record (is damaged|cannot be read)") as caught:
        read_record(text)
    assert "\n" not in str(caught.value)
    assert "newer" not in caught.value.message


def test_a_bare_spec_is_a_run_of_version_1() -> None:
    values = json.loads(builders.spec(version=1).model_dump_json())
    values["data"] = {"source": "folder:/speech/el", "revision": "abc", "min_seconds": 0.5}
    found = read_record(json.dumps(values))
    assert found.spec.version == 1
    assert found.spec.data.source.text == "folder:/speech/el"
    assert (found.spec.data.source.revision, found.spec.data.min_seconds) == ("abc", 0.5)
    assert found == new_record(found.spec)
    # Written again, by the client that continues it, it is the run that it was.
    assert read_record(write_record(found)) == found


def test_a_bare_spec_with_more_than_was_known_is_read_without_it() -> None:
    values = json.loads(builders.spec(version=1).model_dump_json())
    del values["data"]
    values["train"]["label_smoothing"] = 0.1
    found = read_record(json.dumps(values))
    assert found.unknown == ("train.label_smoothing",)
    assert isinstance(found, RunRecord)
    assert found.run == new_record(builders.spec(version=1)).run
