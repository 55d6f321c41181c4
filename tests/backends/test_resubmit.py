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


def test_a_run_keeps_its_storage_and_a_person_may_let_go_of_it() -> None:
    asked, before = record(storage="s3://bucket/new"), record(storage="s3://bucket/old")
    with pytest.raises(UsageError, match="is running with the storage s3://bucket/old") as caught:
        resubmit.check(asked, before, live=True)
    assert f"jobrunner delete {asked.run}` first, which cancels it" in str(caught.value)
    with pytest.raises(UsageError, match="has the storage s3://bucket/old") as caught:
        resubmit.check(asked, before, live=False)
    assert f"jobrunner delete {asked.run}" in str(caught.value)
    assert "add --again 1" in str(caught.value)


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


EVERYTHING = {"prepare", "train", "evaluate-el", "evaluate-sw"}
# What is done; exit codes of what failed; what a look in storage finds lost → what runs again.
LOSSES: list[tuple[set[str], dict[str, int | None], set[str], set[str]]] = [
    ({"prepare"}, {"train": 1}, set(), set()),
    ({"prepare"}, {"train": 69}, set(), {"prepare"}),
    ({"prepare"}, {"train": 65}, {"prepare"}, {"prepare"}),
    ({"prepare"}, {}, {"prepare", "train"}, {"prepare"}),
    (set(), {"prepare": 69}, set(), set()),
    (EVERYTHING - {"evaluate-sw"}, {"evaluate-sw": 69}, set(), {"prepare", "train"}),
    (EVERYTHING - {"evaluate-sw"}, {"evaluate-sw": None}, {"train"}, {"train"}),
    (EVERYTHING, {}, {"prepare"}, set()),
    (EVERYTHING, {}, {"train"}, {"train"}),
    (EVERYTHING, {}, {"prepare", "train"}, {"prepare", "train"}),
]


@pytest.mark.parametrize(("done", "failed", "lost", "again"), LOSSES)
def test_what_is_lost_is_made_again_where_something_left_needs_it(
    done: set[str], failed: dict[str, int | None], lost: set[str], again: set[str]
) -> None:
    planned = plan(record("el", "sw"))
    found = resubmit.again(planned, done=done, failed=failed, prepared={"el", "sw"}, lost=lost)
    assert found == again
