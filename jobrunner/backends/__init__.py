"""Backends, where stages run: processes on this machine, or Jobs on a cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobrunner.catalog.backends import LOCAL, find

# The supervisor of a local run starts through this package, so it imports almost nothing.
if TYPE_CHECKING:
    from jobrunner.backends.base import Backend


def open_backend(name: str, *, namespace: str = "") -> Backend:
    """The backend of that name.

    Args:
        name: name of a row in `catalog/backends.py`.
        namespace: namespace of the cluster, in which to look for runs.

    Raises:
        UsageError: no cluster is configured, or there is no such backend.
    """
    backend: Backend = importlib.import_module(find(name).module).connect(namespace)
    return backend


def find_backend(*, namespace: str, warn: Callable[[str], None]) -> Backend:
    """The backend for existing runs, on this machine or on the cluster.

    Args:
        namespace: namespace of the cluster.
        warn: gets one line if the cluster cannot be asked for its runs.
    """
    from jobrunner.backends.kubernetes.api.kubeconfig import is_configured

    here = open_backend(LOCAL)
    if not is_configured():
        return here
    from jobrunner.backends.anywhere import Anywhere

    return Anywhere(here, lambda: open_backend("kubernetes", namespace=namespace), warn)
