"""A client of the API server: plain JSON in and out.

Objects stay dictionaries. The official client takes 0.3 s to import, and for a list of 1,000 runs
it takes longer to build its models than the API server takes to answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from jobrunner.backends.kubernetes.api import kubeconfig
from jobrunner.errors import ClusterError
from jobrunner.waiting import waiting_for

Object = dict[str, Any]
Query = list[tuple[str, str]]

FIELD_MANAGER = "jobrunner"
# Seconds to connect, and to wait for an answer.
TIMEOUT = (5.0, 60.0)
MERGE = "application/merge-patch+json"
# A list of 5,000 Jobs has 53 MB, and 4 MB compressed. Short answers are not compressed.
COMPRESSED = {"Accept-Encoding": "gzip"}
# Path of each kind that a run consists of, for a namespace.
PATHS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Event": "/api/v1/namespaces/{}/events",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "PodMonitor": "/apis/monitoring.coreos.com/v1/namespaces/{}/podmonitors",
    "Workload": "/apis/kueue.x-k8s.io/v1beta2/namespaces/{}/workloads",
}


class Refused(ClusterError):
    """The API server refused a request.

    Args:
        status: HTTP status.
        reason: Kubernetes' name for the reason, such as `AlreadyExists`.
        message: one line.
    """

    def __init__(self, status: int, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason


class Cluster:
    """The cluster of the kubeconfig's current context, or the one that this pod is in.

    Every method raises `ClusterError`, in one line, if the API server cannot be reached, and
    `Refused` if it refuses.

    Raises:
        UsageError: there is no kubeconfig, or it cannot be used.
    """

    def __init__(self) -> None:
        access = kubeconfig.read()
        from jobrunner.backends.kubernetes.api.connection import Connection

        self.server: str = access.server
        self._connection = Connection(access)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object, or None if it does not exist."""
        try:
            return self._json("GET", f"{path(kind, namespace)}/{name}")
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, kind: str, namespace: str, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """Objects, and the version of the collection, from which a watch can continue."""
        found = self._json("GET", path(kind, namespace), _selectors(labels, fields))
        return found["items"], found["metadata"]["resourceVersion"]

    def create(self, body: Object, *, dry_run: bool = False) -> Object:
        """Creates an object and returns it as stored; with `dry_run` nothing is stored."""
        query = [("fieldManager", FIELD_MANAGER)]
        if dry_run:
            query.append(("dryRun", "All"))
        where = path(body["kind"], body["metadata"]["namespace"])
        return self._json("POST", where, query, body=body)

    def replace(self, body: Object) -> Object:
        """Replaces an object that was read before; refused with 409 if it has changed since."""
        where = path(body["kind"], body["metadata"]["namespace"])
        query = [("fieldManager", FIELD_MANAGER)]
        return self._json("PUT", f"{where}/{body['metadata']['name']}", query, body=body)

    def patch(self, kind: str, namespace: str, name: str, changes: Object) -> Object:
        """Merges changes into an object (RFC 7396) and returns the result."""
        where = f"{path(kind, namespace)}/{name}"
        query = [("fieldManager", FIELD_MANAGER)]
        return self._json("PATCH", where, query, body=changes, content_type=MERGE)

    def delete(self, kind: str, namespace: str, name: str, *, uid: str, propagation: str) -> None:
        """Begins to delete an object; no error if it is gone, or if another one has its name."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            self._json("DELETE", f"{path(kind, namespace)}/{name}", body=options)
        except Refused as error:
            if error.status not in {404, 409}:
                raise

    def ask(self, body: Object, where: str) -> Object:
        """Posts a question that has no namespace, such as a SelfSubjectAccessReview."""
        return self._json("POST", where, body=body)

    def read(self, where: str) -> Object:
        """Reads any other path of the API, such as `/version`."""
        return self._json("GET", where)

    @contextmanager
    def stream(self, where: str, query: Query, *, silence: float) -> Iterator[Any]:
        """An open response of urllib3; reading fails after `silence` seconds without a byte."""
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
        from pydantic_core import from_json

        response = self._call(
            method, where, query or [], body=body, content_type=content_type, headers=COMPRESSED
        )
        try:
            # In parts, so that one is decompressed while the server makes the next.
            found: Object = from_json(b"".join(response.stream(None, decode_content=True)))
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            raise self._unreachable(error) from None
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
        headers: dict[str, str] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> Any:
        import urllib3

        headers = {"Accept": "application/json", "User-Agent": FIELD_MANAGER, **(headers or {})}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            with waiting_for(f"the API server at {self.server}"):
                response = self._connection.request(
                    method,
                    f"{where}?{urlencode(query)}" if query else where,
                    body=None if body is None else json.dumps(body).encode(),
                    headers=headers,
                    timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
                )
            if not 200 <= response.status < 300:
                raise _refused(response.status, response.reason or "", response.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        return response

    def _unreachable(self, error: Exception) -> ClusterError:
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


def _refused(status: int, reason: str, body: bytes) -> Refused:
    """The API server's `Status` as one line."""
    message = body.decode(errors="replace")
    with contextlib.suppress(ValueError, AttributeError):
        answer = json.loads(body)
        reason, message = answer.get("reason") or reason, answer.get("message") or ""
    hints = {
        401: "Log in to the cluster again.",
        403: "Ask whoever runs the cluster for the rights in k8s/user.",
        404: "Does the namespace exist? `kubectl apply -k k8s/base` creates what a run needs.",
    }
    line = _one_line(message or reason) or f"HTTP {status}"
    hint = hints.get(status, "")
    if status == 403 and "exceeded quota" in line:
        hint = "Wait until other runs have ended, or ask for a larger quota."
    return Refused(status, reason, f"The cluster refused: {line.rstrip('.')}.", hint=hint)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
