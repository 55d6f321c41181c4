"""Backends that can run a run: facts that any room may read without importing the backend.

A new backend is a package of `backends/` and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobrunner.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BackendFacts:
    """One place where runs run."""

    name: str
    """Name in jobrunner.toml and in records."""
    module: str
    """Module with a function `connect(namespace)` that returns its `Backend`."""
    where: str
    """Phrase for people, after "runs"."""
    is_here: bool
    """True if stages are processes on this machine: they reach its folders and use its GPUs."""


BACKENDS: dict[str, BackendFacts] = {
    facts.name: facts
    for facts in (
        BackendFacts(
            name="local",
            module="jobrunner.backends.local.backend",
            where="on this machine",
            is_here=True,
        ),
        BackendFacts(
            name="kubernetes",
            module="jobrunner.backends.kubernetes.backend",
            where="on the cluster",
            is_here=False,
        ),
    )
}
# The backend of a run whose spec names none.
DEFAULT = "kubernetes"
LOCAL = "local"


def find(name: str) -> BackendFacts:
    """The backend of that name. Raises UsageError if there is none."""
    if name not in BACKENDS:
        known = " and ".join(BACKENDS)
        raise UsageError(f"There is no backend {name[:60]!r}.", hint=f"There are {known}.")
    return BACKENDS[name]
