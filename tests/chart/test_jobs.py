"""What a Job tells of its stage, and what makes a Job start that waited."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.chart import manifests
from jobrunner.chart.jobs import condition, is_done, release_patch
from jobrunner.spec import names
from tests import builders


def job(**changes: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", "labels": {}}, "spec": {}, "status": {}, **changes}


def with_condition(kind: str, status: str) -> dict[str, Any]:
    return job(status={"conditions": [{"type": kind, "status": status, "reason": "why"}]})


def test_a_condition_counts_if_it_is_true() -> None:
    found = condition(with_condition("Complete", "True"), "Complete")
    assert found is not None
    assert found["reason"] == "why"
    assert condition(with_condition("Complete", "False"), "Complete") is None
    assert condition(with_condition("Failed", "True"), "Complete") is None


@pytest.mark.parametrize("status", [{}, {"conditions": None}, {"conditions": []}])
def test_a_job_that_is_new_has_no_condition(status: dict[str, Any]) -> None:
    assert condition(job(status=status), "Complete") is None
    assert not is_done(job(status=status))
    assert condition({"metadata": {}}, "Complete") is None


def test_a_stage_is_done_when_it_says_so_or_its_job_is_complete() -> None:
    # The stage marks its own Job before its pod has ended.
    marked = job(metadata={"name": "a", "annotations": {names.DONE_ANNOTATION: "true"}})
    assert is_done(marked)
    assert is_done(with_condition("Complete", "True"))
    assert not is_done(with_condition("Failed", "True"))
    assert not is_done(job(metadata={"name": "a", "annotations": None}))


def jobs(**changes: Any) -> list[dict[str, Any]]:
    """The Jobs of a run as the chart makes them."""
    _, *found = manifests.manifests(builders.plan(**changes))
    return found


def applied(body: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """What a merge patch makes of an object (RFC 7386)."""
    merged = dict(body)
    for name, value in patch.items():
        if isinstance(value, dict):
            merged[name] = applied(merged.get(name) or {}, value)
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def test_a_job_that_waits_is_resumed_and_one_that_runs_is_left_alone() -> None:
    first, *later = jobs()
    assert release_patch(first) is None
    for waiting in later:
        patch = release_patch(waiting)
        assert patch is not None
        freed = applied(waiting, patch)
        assert freed["spec"]["suspend"] is False
        assert release_patch(freed) is None


def test_in_a_queue_the_gate_comes_off_and_kueue_resumes() -> None:
    first, *later = jobs(cluster__queue="speech")
    assert release_patch(first) is None
    for waiting in later:
        patch = release_patch(waiting)
        assert patch is not None
        freed = applied(waiting, patch)
        assert names.GATE_ANNOTATION not in freed["metadata"]["annotations"]
        assert freed["spec"]["suspend"] is True
        assert release_patch(freed) is None
