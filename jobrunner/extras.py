"""Which packages of an extra this environment lacks, found without importing any."""

from __future__ import annotations

import re
from importlib import metadata


def packages(extra: str) -> list[str]:
    """Names of the packages that an extra of this project brings.

    Empty where the project runs from its files and was never installed.
    """
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
    """The version of an installed package; empty when it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
