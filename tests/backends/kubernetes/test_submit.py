"""What a submit refuses before it asks the cluster for anything."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, cast

import pytest

from jobrunner.backends.kubernetes import submit
from jobrunner.backends.kubernetes.api.client import Cluster
from jobrunner.backends.kubernetes.snapshot import Snapshot
from jobrunner.backends.kubernetes.status import run_status
from jobrunner.errors import UnreadableRun, UsageError
from jobrunner.spec import names
from jobrunner.spec.plan import plan
from tests.harness.newer import UNKNOWN, UNREADABLE
from tests.harness.recorded import made_by_newer, recorded


class Untouched:
    """A cluster that nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the cluster was asked to {name}")


CLUSTER = cast("Cluster", Untouched())


@pytest.mark.parametrize("name", ["running", "failed", "succeeded"])
@pytest.mark.parametrize("changes", [*UNREADABLE.values(), UNKNOWN], ids=[*UNREADABLE, "fields"])
def test_a_run_of_a_newer_client_is_left_as_it_is(name: str, changes: dict[str, Any]) -> None:
    asked = plan(recorded(name).record)
    with pytest.raises(UnreadableRun, match=r"made by a newer jobrunner \(9\.9\.9\)"):
        submit.submit(CLUSTER, asked, made_by_newer(name, changes))


def test_another_run_with_the_same_id_is_left_as_it_is() -> None:
    found = recorded("failed")
    other = dataclasses.replace(found.record, digest="0" * 64)
    with pytest.raises(UsageError, match="is another run"):
        submit.submit(CLUSTER, plan(other), found)


def test_a_live_run_keeps_its_storage() -> None:
    found = recorded("running")
    moved = found.spec.model_copy(update={"storage": "s3://elsewhere/runs"})
    asked = dataclasses.replace(found.record, spec=moved)
    with pytest.raises(UsageError, match="is running with the storage s3://rec-"):
        submit.submit(CLUSTER, plan(asked), found)


def failed_with(code: int) -> Snapshot:
    """A run whose training ended by the pod failure policy, as a submit reads it: without pods."""
    jobs = copy.deepcopy(list(recorded("failed").jobs))
    train = next(job for job in jobs if job["metadata"]["labels"][names.STAGE_LABEL] == "train")
    for each in train["status"]["conditions"]:
        if each["type"] in {"FailureTarget", "Failed"}:
            each["reason"] = "PodFailurePolicy"
            each["message"] = (
                f"Container stage for pod speech/train-abcde failed with exit code {code} "
                "matching FailJob rule at index 1"
            )
    return recorded("failed", jobs=jobs, pods=[])


@pytest.mark.parametrize(("code", "again"), [(69, {"prepare"}), (65, set()), (1, set())])
def test_a_stage_that_missed_a_result_has_those_before_it_repeated(
    code: int, again: set[str]
) -> None:
    found = failed_with(code)
    status = run_status(found)
    assert [stage.exit_code for stage in status.stages] == [0, code, None]
    assert submit._again(found, found.plan, status, ()) == again
    assert set(submit._stale(found, found.plan, status, again)) == {"train", *again}


def test_what_a_look_finds_lost_is_repeated_only_if_it_was_done() -> None:
    found = failed_with(65)
    lost = {"prepare", "train"}
    assert submit._again(found, found.plan, run_status(found), lost) == {"prepare"}


def test_an_ended_run_keeps_its_storage_too() -> None:
    found = recorded("failed")
    moved = found.spec.model_copy(update={"storage": "s3://elsewhere/runs"})
    asked = dataclasses.replace(found.record, spec=moved)
    with pytest.raises(UsageError, match=rf"has the storage s3://.*jobrunner delete {found.run}"):
        submit.submit(CLUSTER, plan(asked), found)
