"""Versions of the libraries that determine a result."""

from __future__ import annotations

import platform
from importlib.metadata import version

from jobrunner.installed import __version__

_LIBRARIES = ("torch", "transformers", "accelerate", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Version of each library, of Python, and of this project."""
    found = {name: version(name) for name in _LIBRARIES}
    return {"jobrunner": __version__, "python": platform.python_version(), **found}
