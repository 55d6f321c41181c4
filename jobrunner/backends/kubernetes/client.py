"""The API server: plain JSON in and out, over the official client's connection.

Objects stay dictionaries. The client's own models would take longer to build for a list of 1,000
runs than the API server takes to answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobrunner.errors import ClusterError, UsageError

Object = dict[str, Any]
Query = list[tuple[str, str]]

FIELD_MANAGER = "jobrunner"
# Seconds to connect, and to wait for an answer.
TIMEOUT = (5.0, 60.0)
IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
MERGE = "application/merge-patch+json"
# Path below a namespace of each kind that a run consists of.
PATHS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Event": "/api/v1/namespaces/{}/events",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "PodMonitor": "/apis/monitoring.coreos.com/v1/namespaces/{}/podmonitors",
    "Workload": "/apis/kueue.x-k8s.io/v1beta2/namespaces/{}/workloads",
}


class Refused(ClusterError):
    """The API server answered, and the answer is no.

    Args:
        status: HTTP status.
        reason: Kubernetes' word for it, such as `AlreadyExists`.
        message: one line.
    """

    def __init__(self, status: int, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason


def is_configured() -> bool:
    """True when there is a kubeconfig, or this is a pod that may ask the API server."""
    given = os.environ.get("KUBECONFIG")
    files = given.split(os.pathsep) if given else [str(Path.home() / ".kube" / "config")]
    return any(Path(file).is_file() for file in files if file) or IN_CLUSTER_TOKEN.exists()


class Cluster:
    """The cluster of the kubeconfig's current context, or the one that this pod is in.

    Every method raises `ClusterError`, in one line, when the API server cannot be reached, and
    `Refused` when it says no.

    Raises:
        UsageError: there is no kubeconfig, or it cannot be used.
    """

    def __init__(self) -> None:
        if not is_configured():
            raise UsageError(
                "There is no kubeconfig, so no cluster to run on.",
                hint="Set KUBECONFIG, or use --local to run on this machine.",
            )
        from kubernetes import client, config

        configuration = client.Configuration()
        try:
            # Named here, because the client reads the variable only when it is imported.
            file = os.environ.get("KUBECONFIG")
            if IN_CLUSTER_TOKEN.exists() and not file:
                config.load_incluster_config(client_configuration=configuration)
            else:
                config.load_kube_config(file, client_configuration=configuration)
        except (config.ConfigException, OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"The kubeconfig cannot be used: {_one_line(str(error))}.",
                hint="Set KUBECONFIG, or use --local to run on this machine.",
            ) from None
        configuration.connection_pool_maxsize = 16
        self.server: str = configuration.host
        self._api = client.ApiClient(configuration)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object; None where there is none."""
        try:
            return self._json("GET", f"{path(kind, namespace)}/{name}")
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, kind: str, namespace: str, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Objects, and the version of the collection, from which a watch can go on."""
        found = self._json("GET", path(kind, namespace), _selectors(labels, fields))
        return found["items"], found["metadata"]["resourceVersion"]

    def create(self, body: Object, *, dry_run: bool = False) -> Object:
        """The object as it is in the cluster now; with `dry_run` nothing is kept."""
        query = [("fieldManager", FIELD_MANAGER)]
        if dry_run:
            query.append(("dryRun", "All"))
        where = path(body["kind"], body["metadata"]["namespace"])
        return self._json("POST", where, query, body=body)

    def replace(self, body: Object) -> Object:
        """Writes an object that was read; refused with 409 if somebody changed it meanwhile."""
        where = path(body["kind"], body["metadata"]["namespace"])
        query = [("fieldManager", FIELD_MANAGER)]
        return self._json("PUT", f"{where}/{body['metadata']['name']}", query, body=body)

    def patch(self, kind: str, namespace: str, name: str, changes: Object) -> Object:
        """Merges changes into an object (RFC 7396) and gives it as it is then."""
        where = f"{path(kind, namespace)}/{name}"
        query = [("fieldManager", FIELD_MANAGER)]
        return self._json("PATCH", where, query, body=changes, content_type=MERGE)

    def delete(self, kind: str, namespace: str, name: str, *, uid: str, propagation: str) -> None:
        """Begins to delete an object; no error if it is gone, or is another one by now."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            self._json("DELETE", f"{path(kind, namespace)}/{name}", body=options)
        except Refused as error:
            if error.status not in {404, 409}:
                raise

    def ask(self, body: Object, where: str) -> Object:
        """Posts a question that is no object of a namespace, such as a SelfSubjectAccessReview."""
        return self._json("POST", where, body=body)

    def read(self, where: str) -> Object:
        """Any other path of the API, such as `/version`."""
        return self._json("GET", where)

    @contextmanager
    def stream(self, where: str, query: Query, *, silence: float) -> Iterator[Any]:
        """An open answer (urllib3's) to read from; fails after `silence` seconds without a byte."""
        response = self._call("GET", where, query, timeout=(TIMEOUT[0], silence))
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    def _json(
        self,
        method: str,
        where: str,
        query: Query | None = None,
        *,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        import urllib3

        response = self._call(method, where, query or [], body=body, content_type=content_type)
        try:
            found: Object = json.loads(response.read())
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            raise self._away(error) from None
        finally:
            response.release_conn()
        return found

    def _call(
        self,
        method: str,
        where: str,
        query: Query,
        *,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: tuple[float, float] = TIMEOUT,
    ) -> Any:
        import urllib3
        from kubernetes.client.exceptions import ApiException

        try:
            return self._api.call_api(
                where,
                method,
                query_params=query,
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=timeout,
            )
        except ApiException as error:
            raise _refused(error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> ClusterError:
        reason = _one_line(str(getattr(error, "reason", None) or error))
        return ClusterError(
            f"The API server at {self.server} does not answer: {reason}.",
            hint="Check the kubeconfig's current context and the network.",
        )


def path(kind: str, namespace: str) -> str:
    """Path of the objects of a kind in a namespace."""
    return PATHS[kind].format(namespace)


def _selectors(labels: str, fields: str) -> Query:
    both = (("labelSelector", labels), ("fieldSelector", fields))
    return [(name, text) for name, text in both if text]


def _refused(error: Any) -> Refused:
    """The API server's `Status` as one line."""
    try:
        told = json.loads(error.body)
        reason, message = told.get("reason", ""), told.get("message", "")
    except (TypeError, ValueError):
        reason, message = error.reason or "", str(error.body or "")
    hints = {
        401: "Log in to the cluster again.",
        403: "Ask who runs the cluster for the rights in k8s/user.",
        404: "Is the namespace there? `kubectl apply -k k8s/base` makes what a run needs.",
    }
    line = _one_line(message or reason) or f"HTTP {error.status}"
    hint = hints.get(error.status, "")
    if error.status == 403 and "exceeded quota" in line:
        hint = "Wait until other runs have ended, or ask for a larger quota."
    return Refused(error.status, reason, f"The cluster refused: {line.rstrip('.')}.", hint=hint)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
