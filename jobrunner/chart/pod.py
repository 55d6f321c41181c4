"""A pod's own cluster: the API server, and the account that the pod runs under."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# Folder in which the kubelet puts the account's token and the cluster's certificate authority.
FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account of a pod."""

    server: str
    """URL of the API server."""
    token: Path
    """File to read again for each request: the kubelet replaces the token before it expires."""
    authority: Path
    """Certificate authorities of the cluster, in PEM."""


def own_account(folder: Path = FOLDER) -> Account | None:
    """The account of the pod of this process; None outside a pod, or without a token."""
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    if not (host and port and (folder / "token").exists()):
        return None
    host = f"[{host}]" if ":" in host else host
    server = f"https://{host}:{port}"
    return Account(server=server, token=folder / "token", authority=folder / "ca.crt")
