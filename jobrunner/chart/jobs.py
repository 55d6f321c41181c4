"""State of a Job: whether its stage is done, and how to release it.

Pure functions of the API server's objects; pods and clients share them.
"""

from __future__ import annotations

from typing import Any

from jobrunner.spec import names

Object = dict[str, Any]


def condition(found: Object, kind: str) -> Object | None:
    """A condition of an object, if it is true."""
    for each in found.get("status", {}).get("conditions") or ():
        if each["type"] == kind and each["status"] == "True":
            holding: Object = each
            return holding
    return None


def is_done(job: Object) -> bool:
    """True if a stage's work is done, even if its pod has not ended yet."""
    annotations = job["metadata"].get("annotations") or {}
    return names.DONE_ANNOTATION in annotations or condition(job, "Complete") is not None


def release_patch(job: Object) -> Object | None:
    """Patch that starts a Job which waits for other stages; None if nothing holds it back.

    In a queue of Kueue it removes the gate, and Kueue itself unsuspends the Job.
    """
    metadata = job["metadata"]
    if names.QUEUE_LABEL in (metadata.get("labels") or {}):
        gated = names.GATE_ANNOTATION in (metadata.get("annotations") or {})
        return {"metadata": {"annotations": {names.GATE_ANNOTATION: None}}} if gated else None
    return {"spec": {"suspend": False}} if job["spec"].get("suspend") else None
