"""Places where runs can run: what everybody may know of a backend without importing it.

A new backend is a package of `backends/` and a row here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BackendFacts:
    """One place where runs run."""

    name: str
    """In jobrunner.toml and in records."""
    module: str
    """Module with a function `connect(namespace)` that gives its `Backend`."""
    where: str
    """As people read it, after "runs"."""
    is_here: bool
    """True if stages are processes of this machine: they reach its folders and use its GPUs."""


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
# Where a run goes unless somebody says otherwise.
DEFAULT = "kubernetes"
LOCAL = "local"
