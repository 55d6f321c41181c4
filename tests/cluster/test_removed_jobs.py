"""Jobs that the cluster removes some time after their end, as `cluster.keep_hours` says."""

from __future__ import annotations

from kubernetes import client

from jobrunner.spec import names
from jobrunner.status import State
from jobrunner.storage import open_storage
from tests.harness.backend import states, until
from tests.harness.cluster.backend import ClusterBench


def jobs(bench: ClusterBench) -> set[str]:
    """Stages whose Jobs are there."""
    found = client.BatchV1Api(bench.api).list_namespaced_job(bench.namespace).items
    return {job.metadata.labels[names.STAGE_LABEL] for job in found}


def test_a_removed_job_takes_nothing_along_and_its_run_is_known_by_its_results(
    bench: ClusterBench,
) -> None:
    bench.hold("evaluate-el")
    plan = bench.plan(cluster={"keep_hours": 0.001})
    bench.backend.submit(plan)
    bench.begun("evaluate-el")
    until(lambda: jobs(bench) == {"evaluate-el"}, "the others are removed", bench.seconds)

    known = states(bench.backend.status(plan.run))
    assert (known["prepare"], known["train"]) == (State.SUCCEEDED, State.SUCCEEDED)
    assert not known["evaluate-el"].ended

    bench.release("evaluate-el")
    until(lambda: not jobs(bench), "the last one is removed", bench.seconds)
    assert "storage has no result" in bench.backend.status(plan.run).reason
    storage = open_storage(plan.spec.storage)
    prefix = names.evaluation_prefix(plan.run, "tuned", names.test_set(plan.spec), "el")
    storage.write(f"{prefix}result.json", b"{}")
    assert bench.backend.status(plan.run).state is State.SUCCEEDED
    assert [status.state for status in bench.backend.list()] == [State.SUCCEEDED]
    assert bench.backend.submit(plan) == "adopted"
    assert jobs(bench) == set()
    bench.backend.delete(plan.run)
    assert bench.backend.list() == []
    assert storage.stat(f"{prefix}result.json")
