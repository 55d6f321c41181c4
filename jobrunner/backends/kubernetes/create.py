"""Creates the objects of a run, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused
from jobrunner.backends.kubernetes.delete import until_gone
from jobrunner.chart import manifests
from jobrunner.errors import ClusterError

# Tries of a submit while others change the run at the same moment.
TRIES = 10
# Simultaneous requests of one submit: a run has six objects or a few more.
AT_ONCE = 6


class Changed(ClusterError):
    """Another client changed the run in the meantime."""


def dry_run(cluster: Cluster, objects: list[Object]) -> None:
    """Lets the API server check all objects before any is created."""

    def judge(body: Object) -> None:
        try:
            cluster.create(body, dry_run=True)
        except Refused as error:
            # AlreadyExists is fine: admission has already accepted the object.
            if error.reason != "AlreadyExists":
                raise

    _at_once(judge, objects)


def create_owned(cluster: Cluster, owner: Object, objects: list[Object]) -> None:
    """Creates the objects that a run's ConfigMap owns; keeps those that another submit created.

    Raises:
        Changed: the run changed; read it again and repeat.
        ClusterError: the cluster refuses an object, or something else has its name.
    """
    config_map = {**owner, "apiVersion": "v1", "kind": "ConfigMap"}
    _, *owned = manifests.owned([config_map, *objects], uid=owner["metadata"]["uid"])
    _at_once(partial(_create_one, cluster), owned)


def _create_one(cluster: Cluster, body: Object) -> None:
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    for _ in range(TRIES):
        try:
            cluster.create(body)
            return
        except Refused as error:
            if error.reason != "AlreadyExists":
                raise
        existing = cluster.get(body["kind"], namespace, name)
        if existing is not None and "deletionTimestamp" not in existing["metadata"]:
            owners = {each["uid"] for each in existing["metadata"].get("ownerReferences", ())}
            if owners & {each["uid"] for each in body["metadata"]["ownerReferences"]}:
                return  # another submit of the same run was quicker
            raise ClusterError(
                f"{body['kind']} {name} in {namespace} belongs to something else.",
                hint=f"Remove it: kubectl -n {namespace} delete {body['kind'].lower()} {name}.",
            )
        if existing is not None:
            until_gone(cluster, body["kind"], namespace, name, uid=existing["metadata"]["uid"])
    raise Changed(f"{name} keeps being created and deleted by someone else.")


def _at_once(request: Callable[[Object], None], objects: Sequence[Object]) -> None:
    """Makes a request for each object, several at a time; raises the first error in their order.

    One after the other, the requests of a submit would take 13 round trips to the API server.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(request, objects):
            pass
