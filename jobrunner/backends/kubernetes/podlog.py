"""The log of one pod, read to its end over any number of connections."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from jobrunner.backends.kubernetes import reasons
from jobrunner.backends.kubernetes.api.client import Cluster, Query, Refused, path
from jobrunner.errors import ClusterError

# Seconds of silence after which to connect again: a training step may take a while.
SILENCE = 60.0
# Seconds before another try while the API server or the node is away: at first and at most.
RETRY = (0.5, 8.0)


def pod_lines(
    cluster: Cluster, namespace: str, pod: str, uid: str, *, follow: bool
) -> Iterator[str | None]:
    """Lines without their newline, then None if the log was read to its end.

    The node stamps each line with a time, to the nanosecond. A new connection asks for lines since
    the last one, in whole seconds, and skips those that were given already.

    Args:
        cluster, namespace, pod: the pod.
        uid: uid of the pod; another pod of the same name is not read.
        follow: waits for more until the container has ended.
    """
    position = Position()
    wait = RETRY[0]
    while True:
        before = position.given
        try:
            yield from _connection(cluster, namespace, pod, position, follow=follow)
            broken = False
        except Refused as error:
            if error.status == 404:
                return
            broken = True
        except ClusterError:
            broken = True
        if broken and not follow:
            return
        # A connection that ended without an error may still have ended early.
        ended = None if broken else _has_ended(cluster, namespace, pod, uid)
        if ended or (ended is not None and not follow):
            yield from _rest(cluster, namespace, pod, position)
            yield None
            return
        wait = RETRY[0] if position.given > before else min(2 * wait, RETRY[1])
        time.sleep(wait * random.uniform(0.5, 1.0))


class Position:
    """How far a log has been read."""

    def __init__(self) -> None:
        self.time = ""
        """Time of the last line that was given."""
        self.at_time = 0
        """Number of lines that were given with this time."""
        self.given = 0
        self._again = 0

    def connected(self) -> None:
        """Notes that a new connection will repeat lines."""
        self._again = self.at_time

    def take(self, stamp: str) -> bool:
        """True if a line with this time is new."""
        if len(stamp) == len(self.time) and stamp < self.time:
            return False
        if stamp == self.time and self._again:
            self._again -= 1
            return False
        self.at_time = self.at_time + 1 if stamp == self.time else 1
        self.time = stamp
        self._again = 0
        self.given += 1
        return True


def _connection(
    cluster: Cluster, namespace: str, pod: str, position: Position, *, follow: bool
) -> Iterator[str]:
    import urllib3

    query: Query = [("container", reasons.CONTAINER), ("timestamps", "true")]
    query += [("follow", "true")] if follow else []
    query += [("sinceTime", f"{position.time[:19]}Z")] if position.time else []
    where = f"{path('Pod', namespace)}/{pod}/log"
    position.connected()
    with cluster.stream(where, query, silence=SILENCE) as response:
        rest = b""
        try:
            for part in response.stream(None, decode_content=True):
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    stamp, _, text = line.decode(errors="replace").partition(" ")
                    if position.take(stamp):
                        yield text.rstrip("\r")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"The log of {pod} broke off: {error}.") from None
        if rest and not follow:
            stamp, _, text = rest.decode(errors="replace").partition(" ")
            if position.take(stamp):
                yield text


def _rest(cluster: Cluster, namespace: str, pod: str, position: Position) -> Iterator[str]:
    """Lines that were written between the last look and the end of the container."""
    try:
        yield from _connection(cluster, namespace, pod, position, follow=False)
    except ClusterError:
        return


def _has_ended(cluster: Cluster, namespace: str, pod: str, uid: str) -> bool | None:
    """True if the pod's container has ended; None if the API server does not answer."""
    try:
        found = cluster.get("Pod", namespace, pod)
    except ClusterError:
        return None
    if found is None or found["metadata"]["uid"] != uid:
        return True
    return "terminated" in reasons.container(found)
