"""Jobs that the cluster removes some time after their end, as `cluster.keep_hours` says."""

from __future__ import annotations

from kubernetes import client

from jobrunner.spec import keys, names
from jobrunner.states import State
from jobrunner.storage import open_storage
from tests.harness.backend import states
from tests.harness.cluster.backend import ClusterHarness
from tests.harness.waiting import until


def jobs(harness: ClusterHarness) -> set[str]:
    """Stages whose Jobs are there."""
    found = client.BatchV1Api(harness.api).list_namespaced_job(harness.namespace).items
    return {job.metadata.labels[names.STAGE_LABEL] for job in found}


def test_a_removed_job_takes_nothing_along_and_its_run_is_known_by_its_results(
    harness: ClusterHarness,
) -> None:
    harness.hold("evaluate-el")
    plan = harness.plan(cluster={"keep_hours": 0.001})
    harness.backend.submit(plan)
    harness.begun("evaluate-el")
    until(lambda: jobs(harness) == {"evaluate-el"}, "the others are removed", harness.seconds)

    known = states(harness.backend.status(plan.run))
    assert (known["prepare"], known["train"]) == (State.SUCCEEDED, State.SUCCEEDED)
    assert not known["evaluate-el"].ended

    harness.release("evaluate-el")
    until(lambda: not jobs(harness), "the last one is removed", harness.seconds)
    assert "storage has no result" in harness.backend.status(plan.run).reason
    storage = open_storage(plan.spec.storage)
    result = keys.result_file(plan.run, "tuned", plan.spec.data.source.name, "el")
    storage.write(result, b"{}")
    assert harness.backend.status(plan.run).state is State.SUCCEEDED
    assert [status.state for status in harness.backend.list()] == [State.SUCCEEDED]
    assert harness.backend.submit(plan) == "adopted"
    assert jobs(harness) == set()
    harness.backend.delete(plan.run)
    assert harness.backend.list() == []
    assert storage.stat(result)
