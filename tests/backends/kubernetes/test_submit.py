"""What a submit refuses before it asks the cluster for anything."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from jobrunner.backends.kubernetes import submit
from jobrunner.backends.kubernetes.api.client import Cluster
from jobrunner.errors import UnreadableRun, UsageError
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
