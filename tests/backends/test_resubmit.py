"""What a submit of a run does that is there already, on every backend."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from jobrunner.backends import resubmit
from jobrunner.catalog import installed
from jobrunner.errors import UnreadableRun, UsageError
from jobrunner.spec.plan import plan
from jobrunner.spec.record import RunRecord, new_record, read_record
from tests import builders
from tests.harness.newer import UNKNOWN, newer_text


def record(*languages: str, **changes: Any) -> RunRecord:
    return new_record(builders.spec(evaluate__languages=list(languages), **changes))


@pytest.mark.parametrize("live", [True, False])
def test_a_run_may_be_submitted_again(live: bool) -> None:
    resubmit.check(record("en"), record(), live=live)


def test_another_spec_whose_id_is_the_same_by_chance_is_refused() -> None:
    asked = record()
    other = dataclasses.replace(asked, digest=asked.digest[:8] + "0" * 56)
    with pytest.raises(UsageError, match=rf"^{asked.run} is another run: .* Give --again 1"):
        resubmit.check(asked, other, live=False)


def test_a_live_run_keeps_its_storage_and_an_ended_one_may_move() -> None:
    asked, before = record(storage="s3://bucket/new"), record(storage="s3://bucket/old")
    with pytest.raises(UsageError, match="is running with the storage s3://bucket/old") as caught:
        resubmit.check(asked, before, live=True)
    assert f"jobrunner cancel {asked.run}" in str(caught.value)
    resubmit.check(asked, before, live=False)


@pytest.mark.parametrize("live", [True, False])
def test_a_run_that_holds_more_than_is_known_here_is_left_alone(live: bool) -> None:
    asked = record()
    newer = read_record(newer_text(asked, UNKNOWN))
    with pytest.raises(UnreadableRun) as caught:
        resubmit.check(asked, newer, live=live)
    assert caught.value.message == f"{asked.run} was made by a newer jobrunner (9.9.9)."


def test_a_run_of_a_newer_client_with_nothing_new_may_be_continued() -> None:
    resubmit.check(record(), read_record(newer_text(record(), {})), live=False)


def test_a_live_run_keeps_its_options_and_gets_the_new_languages() -> None:
    before, asked = record("el"), record("sw", cluster__attempts=9)
    merged = resubmit.merged(asked, plan(before), done=(), live=True)
    assert merged.spec.evaluate.languages == ("el", "sw")
    assert merged.spec.cluster == before.spec.cluster
    assert merged.run == before.run


def test_a_live_run_that_has_all_that_is_asked_stays_the_record_that_it_is() -> None:
    before = record("el", "sw")
    assert resubmit.merged(record("sw"), plan(before), done=(), live=True) is before


def test_an_ended_run_takes_new_options_and_keeps_what_succeeded() -> None:
    before, asked = record("el", "sw"), record("hi", cluster__attempts=9)
    done = {"prepare", "train", "evaluate-el"}
    merged = resubmit.merged(asked, plan(before), done=done, live=False)
    assert merged.spec.evaluate.languages == ("el", "hi")
    assert merged.spec.cluster.attempts == 9


def test_a_run_that_is_continued_names_the_client_that_continues_it() -> None:
    older = dataclasses.replace(record("el"), client="0.0.1")
    merged = resubmit.merged(record("sw"), plan(older), done=(), live=True)
    assert merged.client == installed.__version__


# Stages that succeeded, languages that were prepared, another program → whether it prepares again.
CASES = [
    ({"prepare"}, {"el", "sw"}, False, False),
    ({"prepare"}, {"el", "sw"}, True, True),
    ({"prepare", "train", "evaluate-el"}, {"el"}, False, True),
    ({"prepare", "train", "evaluate-el"}, {"el", "sw", "hi"}, False, False),
    ({"prepare", "train", "evaluate-el", "evaluate-sw"}, {"el"}, True, False),
]


@pytest.mark.parametrize(("done", "prepared", "changed", "again"), CASES)
def test_what_was_prepared_is_prepared_again_where_something_is_left_that_lacks_it(
    done: set[str], prepared: set[str], changed: bool, again: bool
) -> None:
    planned = plan(record("el", "sw"))
    found = resubmit.prepares_again(planned, done=done, prepared=prepared, changed=changed)
    assert found == again
