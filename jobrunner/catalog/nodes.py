"""Facts about nodes: the notice that spot nodes get, and the upload speed to expect."""

from __future__ import annotations

import re

# Bytes a second from a snapshot in memory to a committed checkpoint: written to the local disk,
# hashed, uploaded to S3. Expected until an attempt has measured it.
UPLOAD_SPEED = 50e6
# Names that providers give to their nodes → seconds between a spot node's notice and its end.
# GKE gives 30 s and keeps the last ones for its own pods; Azure gives at least 30 s.
_NOTICES = (
    (re.compile(r"gke-|gk3-"), 25.0),
    (re.compile(r"aks"), 25.0),
    (re.compile(r"ip-\d+-\d+-\d+-\d+|i-[0-9a-f]{8,17}\b"), 120.0),
)
SHORTEST_NOTICE = 25.0


def notice_seconds(node: str) -> float:
    """Seconds that a spot node has left after its notice; unknown providers count as the shortest.

    Args:
        node: name of the node, by which GKE, AKS and AWS can be recognised. Pods may not read the
            node's labels.
    """
    return next((seconds for name, seconds in _NOTICES if name.match(node)), SHORTEST_NOTICE)
