"""Where stages run: processes on this machine, or Jobs on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobrunner.errors import UsageError

# The supervisor of a local run starts through this package: it imports next to nothing here.
if TYPE_CHECKING:
    from jobrunner.backends.base import Backend


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
