"""Reasons why a pod waits or died, in a few words. Pure: reads snapshot objects only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from jobrunner.backends.logline import last_error, short
from jobrunner.chart.jobs import Object, condition
from jobrunner.errors import Interrupted

CONTAINER = "stage"
# Reasons of a waiting container while nothing is wrong.
ON_THE_WAY = frozenset(("ContainerCreating", "PodInitializing", ""))
OUT_OF_MEMORY = "out of memory"
# Causes of an end, by Kubernetes' reason of a disruption.
DISRUPTIONS = {
    "PreemptionByScheduler": "preempted",
    "DeletionByTaintManager": "node tainted",
    "EvictionByEvictionAPI": "evicted",
    "DeletionByPodGC": "node lost",
    "TerminationByKubelet": "evicted by its node",
}


def seconds(text: str | None) -> float | None:
    """Unix time of a timestamp of the API."""
    return datetime.fromisoformat(text).timestamp() if text else None


def container(pod: Object) -> Object:
    """State of the stage's container: at most one of waiting, running, terminated."""
    for each in pod.get("status", {}).get("containerStatuses") or ():
        if each["name"] == CONTAINER:
            state: Object = each.get("state") or {}
            return state
    return {}


def waiting(pod: Object, events: Iterable[Object] = ()) -> tuple[str, bool]:
    """The reason why a pod has not started, and whether a person must do something."""
    for each in pod.get("status", {}).get("conditions") or ():
        if each["type"] == "PodScheduled" and each["status"] == "False":
            return unschedulable(each.get("message", "")), True
    state = container(pod).get("waiting") or {}
    reason, message = state.get("reason", ""), state.get("message", "")
    if reason in ON_THE_WAY:
        problem = latest(events, "FailedMount", pod["metadata"]["name"])
        return (short(problem), True) if problem else ("", False)
    if "Image" in reason:
        return f"the image {_image(pod)} cannot be pulled: {pull_error(message) or reason}", True
    return short(f"the container cannot start: {message or reason}"), True


def unschedulable(message: str) -> str:
    """The scheduler's message without its last part, about preemption and claims."""
    text = message.split(". ")[0].strip().rstrip(".")
    text = re.sub(r"^\d+/(\d+) nodes are available: ", r"no node of \1 fits: ", text)
    return short(text or "no node fits")


def pull_error(message: str) -> str:
    """The end of a chain of errors, which names the cause."""
    parts = [part.strip() for part in re.split(r": (?=[a-zA-Z])", message) if part.strip()]
    return short(": ".join(parts[-2:]).rstrip(".")) if parts else ""


def refused(message: str) -> str:
    """Reason from a Job's event `FailedCreate`: `Error creating: pods "…" is forbidden: …`."""
    text = re.sub(r'^Error creating: pods? "[^"]*" is forbidden: ', "", message)
    return short(f"the cluster refuses its pod: {text}")


def ended(pod: Object) -> tuple[str, str, int | None]:
    """The end of a pod: its cause in two or three words, one line, and the exit code if any."""
    status = pod.get("status", {})
    state = container(pod).get("terminated") or {}
    code = state.get("exitCode")
    disruption = condition(pod, "DisruptionTarget")
    if disruption:
        cause = DISRUPTIONS.get(disruption.get("reason", ""), "disrupted")
        return cause, short(f"{cause}: {disruption.get('message', '')}".rstrip(": .")), code
    if state.get("reason") == "OOMKilled":
        limit = _limit(pod)
        return OUT_OF_MEMORY, f"killed: its memory ({limit}) was not enough", code
    if status.get("reason") == "Evicted":
        return "evicted by its node", short(f"evicted: {status.get('message', '')}"), code
    if code == Interrupted.exit_code:
        return "stopped", last_error(state.get("message", "").splitlines()) or "stopped", code
    if code and code > 128:
        return "killed", f"killed by signal {code - 128}", code
    message = last_error(state.get("message", "").splitlines())
    return "failed", message or (f"ended with exit code {code}" if code else ""), code


def exit_code(end: Object) -> int | None:
    """The exit code that a pod failure policy names in the condition `Failed` of a Job.

    The Job outlives its pods, and a submit reads no pods.
    """
    found = re.search(r"failed with exit code (\d+) matching FailJob", end.get("message", ""))
    return int(found[1]) if found else None


def latest(events: Iterable[Object], reason: str, name: str, since: float = 0.0) -> str:
    """Message of an object's newest event with a reason; empty if there is none."""
    found = [
        (when, each.get("message", ""))
        for each in events
        if each.get("reason") == reason and each.get("involvedObject", {}).get("name") == name
        for when in [_when(each)]
        if when >= since
    ]
    return max(found)[1] if found else ""


def _when(event: Object) -> float:
    return max(_times(event), default=0.0)


def _times(event: Object) -> Iterator[float]:
    series: Any = event.get("series") or {}
    given = (event.get("lastTimestamp"), event.get("eventTime"), series.get("lastObservedTime"))
    yield from (when for text in given if (when := seconds(text)) is not None)


def _image(pod: Object) -> str:
    for each in pod["spec"]["containers"]:
        if each["name"] == CONTAINER:
            return str(each["image"])
    return "?"


def _limit(pod: Object) -> str:
    for each in pod["spec"]["containers"]:
        if each["name"] == CONTAINER:
            limits = each.get("resources", {}).get("limits", {})
            return str(limits.get("memory", "no limit"))
    return "?"
