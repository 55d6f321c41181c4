"""Names and labels of Kubernetes objects. YAML files repeat some; a test compares them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from jobrunner.errors import SpecError, UsageError
from jobrunner.spec.types import slug

# A Job's name becomes a pod label, so the limit of labels applies (RFC 1123).
LONGEST_NAME = 63
# LONGEST_NAME less room for "-evaluate-", the longest language code (3) and the end of a pod's name
# ("-xxxxx"): the API server cuts longer names of pods, and admission.yaml reads them.
LONGEST_RUN_ID = 44
LABEL_PREFIX = "jobrunner.dev"
# Label of all objects of a run, and of all that belongs to one of its stages.
RUN_LABEL = f"{LABEL_PREFIX}/run"
STAGE_LABEL = f"{LABEL_PREFIX}/stage"
# Annotations that a stage may write on its Job (admission.yaml allows this prefix only): progress
# for people, progress for programs, and "done", set before it releases the next stages.
PROGRESS_ANNOTATION = f"{LABEL_PREFIX}/progress"
DETAILS_ANNOTATION = f"{PROGRESS_ANNOTATION}-details"
DONE_ANNOTATION = f"{PROGRESS_ANNOTATION}-done"
# Annotation that a submit writes on the Jobs of a live run: the run's current languages.
LANGUAGES_ANNOTATION = f"{LABEL_PREFIX}/languages"
# Annotations of a run's ConfigMap, in Unix time.
SUBMITTED_ANNOTATION = f"{LABEL_PREFIX}/submitted"
CANCELLED_ANNOTATION = f"{LABEL_PREFIX}/cancelled"
# Kueue's label with a Job's queue, its annotation that holds a Job back, and our gate in it.
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
GATE_ANNOTATION = "kueue.x-k8s.io/admission-gated-by"
GATE = f"{LABEL_PREFIX}/stage"
RUN_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,44}[a-z0-9])?")
# Form of the ids that `run_id` gives.
_WHOLE = re.compile(r"[a-z0-9-]+-[a-z0-9-]+-[0-9a-f]{8}")
# Ids that the error for an ambiguous prefix names at most.
_SHOWN = 8


def model_name(model: str) -> str:
    """The short name of a preset, hub id or folder: its last part."""
    return PurePosixPath(model.rstrip("/")).name


def model_label(model: str) -> str:
    """The model's name as the value of a label."""
    return slug(model_name(model), LONGEST_NAME)


def run_id(lang: str, model: str, digest: str) -> str:
    """`<lang>-<model>-<8 hex of the digest>`."""
    tail = f"-{digest[:8]}"
    head = slug(lang, 8)
    room = LONGEST_RUN_ID - len(head) - 1 - len(tail)
    return f"{head}-{slug(model_name(model), room)}{tail}"


def check_run_id(text: str) -> str:
    """Returns the run id unchanged if it is valid.

    Raises:
        SpecError: it is not.
    """
    if not RUN_ID.fullmatch(text):
        shown = repr(text[:60])
        raise SpecError("run", f"{shown} is not a run id.", hint="`jobrunner list` shows them.")
    return text


def is_whole(text: str) -> bool:
    """True if the text has the form of a whole run id, not only of the start of one."""
    return _WHOLE.fullmatch(text) is not None


def completed(text: str, known: Collection[str]) -> str:
    """The one run id that starts with the text; the text itself if it is an id, or if none does.

    Raises:
        UsageError: several ids start with it.
    """
    matching = [run for run in known if run.startswith(text)]
    if text in matching or not matching:
        return text
    if len(matching) > 1:
        more = len(matching) - _SHOWN
        shown = ", ".join(matching[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        raise UsageError(
            f"{text} is the start of {len(matching)} run ids: {shown}.",
            hint="Type more of the id.",
        )
    return matching[0]


def job_name(run: str, stage: str) -> str:
    """Name of the Job of a stage, at most 63 characters."""
    name = f"{run}-{stage}"
    if len(name) > LONGEST_NAME:
        raise SpecError("run", f"the name {name} is longer than {LONGEST_NAME} characters.")
    return name


def labels(run: str, lang: str, model: str, stage: str = "") -> dict[str, str]:
    """Labels of a run's objects, or of one stage's."""
    by_name = {
        "app.kubernetes.io/name": "jobrunner",
        "app.kubernetes.io/instance": run,
        RUN_LABEL: run,
        f"{LABEL_PREFIX}/language": lang,
        f"{LABEL_PREFIX}/model": model_label(model),
    }
    if stage:
        by_name[STAGE_LABEL] = stage
    return by_name
