"""Records of runs that a later version of the client has written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from jobrunner.spec.record import FORMAT, RunRecord, write_record

CLIENT = "9.9.9"
MADE_BY = f"made by a newer jobrunner ({CLIENT})"
# What a later version may write that this one cannot read: a form of its own, a value that does
# not validate here, more than one source, a field that is a text there.
UNREADABLE: dict[str, dict[str, Any]] = {
    "a form of its own": {"version": FORMAT + 1},
    "a task that is not known here": {"task": "distil"},
    "a model that is not known here": {"model": "conformer"},
    "two sources": {"data": {"sources": [{"kind": "fleurs"}, {"kind": "fleurs", "weight": 2.0}]}},
    "a source that is not known here": {"data": {"sources": [{"kind": "radio"}]}},
    "a field of another type": {"train": {"steps": "2 epochs"}},
}
# Fields that this version leaves out.
UNKNOWN: dict[str, Any] = {
    "tags": ["night"],
    "train": {"label_smoothing": 0.1},
    "data": {"sources": [{"kind": "fleurs", "licence": "cc"}]},
}
UNKNOWN_PATHS = {"tags", "train.label_smoothing", "data.sources.0.licence"}


def newer_text(record: RunRecord, changes: dict[str, Any]) -> str:
    """The run.json that a later client writes of a run.

    Args:
        record: the run.
        changes: parts of its spec; `version` is that of the form of the record.
    """
    written = json.loads(write_record(record))
    changes = dict(changes)
    written["version"] = changes.pop("version", written["version"])
    written["client"] = CLIENT
    for name, value in changes.items():
        held = written["spec"].get(name)
        written["spec"][name] = {**held, **value} if isinstance(held, dict) else value
    return json.dumps(written)


def rewrite_newer(record: RunRecord, changes: dict[str, Any]) -> None:
    """Makes a run of this machine one that a later client has submitted."""
    path = Path(os.environ["JOBRUNNER_STATE"]) / "runs" / record.run / "record.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "record": json.loads(newer_text(record, changes))}))
