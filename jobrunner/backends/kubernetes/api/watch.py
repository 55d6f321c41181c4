"""Objects kept up to date by one LIST and a WATCH that reconnects by itself."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from typing import Any

from jobrunner.backends.kubernetes.api.client import Cluster, Object, Refused, path
from jobrunner.errors import ClusterError

# The server ends a watch after this many seconds; the next one continues where it ended.
WATCH_SECONDS = 60
# Seconds of silence after which a connection counts as lost: a little longer than a watch lasts.
SILENCE = WATCH_SECONDS + 15.0
# Seconds before another try while the API server is away: at first and at most.
RETRY = (0.5, 8.0)


class Watched:
    """The current objects of one kind that match a selector.

    The constructor makes the first LIST, so its caller gets the errors of that. Later the API
    server may be away for any time.

    Args:
        cluster: the cluster.
        kind: kind of the objects, such as `Job`.
        namespace: namespace of the objects.
        changed: notified after each change.
        labels, fields: selectors.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        namespace: str,
        changed: threading.Condition,
        *,
        labels: str = "",
        fields: str = "",
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._changed = changed
        self._labels = labels
        self._fields = fields
        self._stopped = threading.Event()
        self._response: Any = None
        self._objects: dict[str, Object] = {}
        self._version = ""
        self.changes = 0
        """Number that grows with each change."""
        self._list()
        threading.Thread(target=self._work, daemon=True).start()

    def objects(self) -> list[Object]:
        """The objects now."""
        with self._changed:
            return list(self._objects.values())

    def stop(self) -> None:
        """Ends the watch."""
        self._stopped.set()
        response = self._response
        if response is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
                response.shutdown()

    def _list(self) -> None:
        found, version = self._cluster.list(
            self._kind, self._namespace, labels=self._labels, fields=self._fields
        )
        with self._changed:
            self._objects = {each["metadata"]["uid"]: each for each in found}
            self._version = version
            self.changes += 1
            self._changed.notify_all()

    def _work(self) -> None:
        wait = RETRY[0]
        while not self._stopped.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
                wait = RETRY[0]
            except Refused as error:
                # 410: the server has forgotten that version, so a new LIST is needed.
                self._version = ""
                if error.status != 410:
                    wait = self._pause(wait)
            except (ClusterError, OSError, ValueError):
                wait = self._pause(wait)

    def _pause(self, wait: float) -> float:
        self._stopped.wait(wait * random.uniform(0.5, 1.0))
        return min(2 * wait, RETRY[1])

    def _watch(self) -> None:
        """Applies changes until the server ends the watch.

        Raises:
            Refused: with 410 if the version is too old.
            ClusterError, OSError, ValueError: the connection is lost.
        """
        import urllib3

        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
            ("resourceVersion", self._version),
        ]
        query += [("labelSelector", self._labels)] if self._labels else []
        query += [("fieldSelector", self._fields)] if self._fields else []
        where = path(self._kind, self._namespace)
        with self._cluster.stream(where, query, silence=SILENCE) as response:
            self._response = response
            rest = b""
            try:
                for part in response.stream(None, decode_content=True):
                    *lines, rest = (rest + part).split(b"\n")
                    for line in lines:
                        if self._stopped.is_set():
                            return
                        self._take(json.loads(line))
            except urllib3.exceptions.HTTPError as error:
                raise ClusterError(f"The watch broke off: {error}.") from None
            finally:
                self._response = None

    def _take(self, event: Object) -> None:
        what, found = event["type"], event["object"]
        if what == "ERROR":
            raise Refused(found.get("code", 500), found.get("reason", ""), found.get("message", ""))
        with self._changed:
            self._version = found["metadata"]["resourceVersion"]
            if what == "BOOKMARK":
                return
            if what == "DELETED":
                self._objects.pop(found["metadata"]["uid"], None)
            else:
                self._objects[found["metadata"]["uid"]] = found
            self.changes += 1
            self._changed.notify_all()
