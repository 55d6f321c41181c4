"""The objects that a run left in storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests.builders import run_id


def storage_of(spec: RunSpec) -> LocalStorage:
    return LocalStorage(Path(spec.storage))


def export_of(spec: RunSpec) -> Path:
    return folders.fetch(storage_of(spec), keys.export_prefix(run_id(spec)), Path())


def history_of(spec: RunSpec) -> list[dict[str, Any]]:
    lines = storage_of(spec).read(keys.history_file(run_id(spec))).splitlines()
    return [json.loads(line) for line in lines]


def committed(spec: RunSpec) -> list[int]:
    return Checkpoints(storage_of(spec), run_id(spec), "", Path(), print).committed()
