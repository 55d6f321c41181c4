"""Answers of a real API server about runs (recorded/*.json)."""

from __future__ import annotations

import copy
import json
from typing import Any

from jobrunner.backends.kubernetes.snapshot import SPEC_FILE, Snapshot
from jobrunner.spec.record import read_record
from tests.harness.newer import newer_text
from tests.harness.paths import RECORDED

NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))


def recorded(name: str, **changes: Any) -> Snapshot:
    """A recorded snapshot. Version 1 of the client submitted all of these runs."""
    return Snapshot(**{**json.loads((RECORDED / f"{name}.json").read_text()), **changes})


def made_by_newer(name: str, changes: dict[str, Any]) -> Snapshot:
    """The snapshot as if a later version of the client had submitted it (see newer.py)."""
    config_map = copy.deepcopy(recorded(name).config_map)
    record = read_record(config_map["data"][SPEC_FILE])
    config_map["data"][SPEC_FILE] = newer_text(record, changes)
    return recorded(name, config_map=config_map)
