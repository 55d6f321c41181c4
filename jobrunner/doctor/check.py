"""The result of a check of `jobrunner doctor`, and the check that machine and cluster share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobrunner.errors import StorageError
from jobrunner.storage import open_storage, probe


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one check."""

    name: str
    verdict: Literal["ok", "note", "fix"]
    """`fix` prevents a run; `note` is something to know."""
    found: str
    advice: str = ""


def stored(url: str, endpoint: str) -> Check:
    """Checks that an S3 storage can be used."""
    try:
        probe(open_storage(url, endpoint=endpoint))
    except StorageError as error:
        return Check(name="storage", verdict="fix", found=error.message, advice=error.hint)
    found = f"{url} can be written and honours conditional writes"
    return Check(name="storage", verdict="ok", found=found)
