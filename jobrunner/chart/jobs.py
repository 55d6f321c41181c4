"""What the state of a Job means for its run: whether its stage is done, and how it is released.

Pure functions over objects of the API server, which pods and clients share.
"""

from __future__ import annotations

from typing import Any

from jobrunner.spec import names

Object = dict[str, Any]


def condition(found: Object, kind: str) -> Object | None:
    """A condition of an object, if it is true."""
    for each in found.get("status", {}).get("conditions") or ():
        if each["type"] == kind and each["status"] == "True":
            true: Object = each
            return true
    return None


def is_done(job: Object) -> bool:
    """True when a stage's work is done, even if its pod has not ended yet."""
    annotations = job["metadata"].get("annotations") or {}
    return names.DONE_ANNOTATION in annotations or condition(job, "Complete") is not None


def release_patch(job: Object) -> Object | None:
    """What makes a Job start that waited for other stages; None if nothing holds it back.

    In a queue of Kueue the gate comes off, and Kueue itself unsuspends the Job.
    """
    metadata = job["metadata"]
    if names.QUEUE_LABEL in (metadata.get("labels") or {}):
        gated = names.GATE_ANNOTATION in (metadata.get("annotations") or {})
        return {"metadata": {"annotations": {names.GATE_ANNOTATION: None}}} if gated else None
    return {"spec": {"suspend": False}} if job["spec"].get("suspend") else None
