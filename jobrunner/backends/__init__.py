"""Where stages run: processes on this machine, or Jobs on a cluster."""

from __future__ import annotations

from jobrunner.backends.base import Backend
from jobrunner.errors import UsageError

__all__ = ["Backend", "open_backend"]


def open_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        UsageError: this version has no such backend.
    """
    if name == "local":
        from jobrunner.backends.local.backend import LocalBackend

        return LocalBackend()
    raise UsageError(
        f"The {name} backend is not in this version.",
        hint="Use --local to run on this machine, or `jobrunner render` to see the manifests.",
    )
