"""Plan → Helm values → manifests.

`render` prints the objects that `submit` sends: both come from `manifests`. The chart decides only
what an object looks like; the plan decides which stages there are, and in which order. Strings
reach the templates as data and leave them as JSON, so no value can change its type or add an
object. The rendered objects are compared with those that the plan requires.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobrunner.chart import helm
from jobrunner.chart.documents import dump, load
from jobrunner.chart.values import values
from jobrunner.errors import JobrunnerError
from jobrunner.spec import names
from jobrunner.spec.plan import Plan


def manifests(plan: Plan) -> list[dict[str, Any]]:
    """The run's objects: the ConfigMap, the Jobs in the plan's order, the PodMonitor if wanted.

    Raises:
        UsageError: Helm is missing, or its engine refuses the chart.
        JobrunnerError: the chart's objects are not those of the plan.
    """
    namespace = plan.spec.cluster.namespace
    text = helm.render(chart_folder(), values(plan), release=plan.run, namespace=namespace)
    found = {_identity(document): document for document in load(text)}
    expected = [(kind, name, namespace) for kind, name in _expected(plan)]
    if len(found) != len(expected) or set(found) != set(expected):
        odd = sorted(map(str, set(found) ^ set(expected)))
        raise JobrunnerError(
            f"The chart does not produce the plan's objects: {', '.join(odd)[:300]}.",
            hint="If you changed charts/speech-run, correct it there or take it back.",
        )
    return [found[identity] for identity in expected]


def render(plan: Plan) -> str:
    """The run's objects as YAML: one document each, equal for equal plans."""
    return "".join(f"---\n{dump(document)}" for document in manifests(plan))


def owned(objects: list[dict[str, Any]], *, uid: str) -> list[dict[str, Any]]:
    """The objects with the run's ConfigMap as the owner of all others.

    The API server gives an object its uid when it is created, so a backend creates the ConfigMap
    first. Deleting it deletes the rest; deleting a Job deletes no other object.

    Args:
        objects: result of `manifests`.
        uid: `metadata.uid` of the ConfigMap in the cluster.
    """
    owner, *others = objects
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid,
    }
    return [owner] + [
        {**other, "metadata": {**other["metadata"], "ownerReferences": [reference]}}
        for other in others
    ]


def chart_folder() -> Path:
    """The folder of the chart: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    packed = package / "_chart" / "speech-run"
    return packed if packed.is_dir() else package.parent / "charts" / "speech-run"


def _expected(plan: Plan) -> list[tuple[str, str]]:
    jobs = [("Job", names.job_name(plan.run, stage.name)) for stage in plan.stages]
    monitor = [("PodMonitor", plan.run)] if plan.spec.cluster.monitor else []
    return [("ConfigMap", plan.run), *jobs, *monitor]


def _identity(document: dict[str, Any]) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata["name"], metadata["namespace"]
