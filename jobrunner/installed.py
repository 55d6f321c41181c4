"""Installed versions: this project's, and which packages of an extra are missing."""

from __future__ import annotations

import re

__version__ = "0.1.0"


def packages(extra: str) -> list[str]:
    """Names of the packages that an extra of this project brings.

    Empty if the project runs from source and was never installed.
    """
    # Slow to import, and needed by few commands.
    from importlib import metadata

    try:
        required = metadata.requires("jobrunner") or []
    except metadata.PackageNotFoundError:
        return []
    marked = [line for line in required if re.search(rf"extra == ['\"]{extra}['\"]", line)]
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in marked]


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed."""
    return [name for name in packages(extra) if not version(name)]


def version(package: str) -> str:
    """The version of an installed package; empty if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def is_newer(other: str) -> bool:
    """True if another version of this project is newer than this one."""
    return _numbers(other) > _numbers(__version__)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
