"""Runs of a cluster as rows of a list, whoever made them."""

from __future__ import annotations

import copy

import pytest

from jobrunner.backends.kubernetes.backend import _listed
from jobrunner.backends.kubernetes.from_storage import Storages, with_results
from jobrunner.backends.kubernetes.snapshot import SPEC_FILE
from jobrunner.backends.kubernetes.status import run_status
from jobrunner.states import State
from tests.harness.newer import MADE_BY, UNREADABLE
from tests.harness.recorded import made_by_newer, recorded


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_run_that_only_a_newer_client_can_read_is_a_row_beside_the_others(name: str) -> None:
    snapshots = [recorded("succeeded"), made_by_newer("running", UNREADABLE[name])]

    first, second = [_listed(with_results(each, Storages())) for each in snapshots]

    assert first == run_status(snapshots[0])
    assert (second.run, second.state) == (snapshots[1].run, State.RUNNING)
    assert second.reason == MADE_BY


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"version": 2, "spec": {}}'])
def test_a_damaged_record_is_a_row_too(text: str) -> None:
    config_map = copy.deepcopy(recorded("failed").config_map)
    config_map["data"][SPEC_FILE] = text
    status = _listed(recorded("failed", config_map=config_map))
    assert status.state is State.FAILED
    assert status.reason.startswith("Its record is damaged")
    assert "\n" not in status.reason
