"""Where stages run: processes on this machine, or Jobs on a cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobrunner.catalog.backends import BACKENDS, LOCAL
from jobrunner.errors import UsageError

# The supervisor of a local run starts through this package: it imports next to nothing here.
if TYPE_CHECKING:
    from jobrunner.backends.base import Backend


def open_backend(name: str, *, namespace: str = "") -> Backend:
    """The backend of that name.

    Args:
        name: of a row in `catalog/backends.py`.
        namespace: of a cluster, where runs are looked for.

    Raises:
        UsageError: there is no cluster to speak to, or no such backend.
    """
    if name not in BACKENDS:
        known = " and ".join(BACKENDS)
        raise UsageError(f"There is no backend {name[:60]!r}.", hint=f"There are {known}.")
    found: Backend = importlib.import_module(BACKENDS[name].module).connect(namespace)
    return found


def find_backend(*, namespace: str, warn: Callable[[str], None]) -> Backend:
    """The backend for runs that are there already, on this machine or on the cluster.

    Args:
        namespace: of the cluster.
        warn: gets one line when the cluster cannot be asked for its runs.
    """
    from jobrunner.backends.kubernetes.api.kubeconfig import is_configured

    here = open_backend(LOCAL)
    if not is_configured():
        return here
    from jobrunner.backends.anywhere import Anywhere

    return Anywhere(here, lambda: open_backend("kubernetes", namespace=namespace), warn)
