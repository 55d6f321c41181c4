"""Distinguishes an unexpected error that would come again from one that may pass."""

from __future__ import annotations

import contextlib
import json
import traceback

from jobrunner.core.attempt.context import StageContext
from jobrunner.errors import NotFound, StorageError
from jobrunner.spec import keys


def repeats(context: StageContext, stage: str, error: BaseException) -> bool:
    """Notes an unexpected error in storage.

    Returns:
        True if the attempt before ended with the same one: equal in text, place and step. False
        if storage does not answer; then a later attempt finds out.
    """
    try:
        return _repeats(context, keys.crash_file(context.run, stage), error)
    except StorageError:
        return False


def _repeats(context: StageContext, key: str, error: BaseException) -> bool:
    crash = {
        "error": "".join(traceback.format_exception_only(error)).strip(),
        "place": _place(error),
        "step": context.progress.now.step,
    }
    before: dict[str, object] = {}
    with contextlib.suppress(NotFound, ValueError, TypeError):
        before = dict(json.loads(context.storage.read(key)))
    attempt = before.pop("attempt", context.attempt)
    noted = json.dumps({**crash, "attempt": context.attempt}, ensure_ascii=False)
    context.storage.write(key, noted.encode("utf-8", errors="backslashreplace"))
    return attempt != context.attempt and before == crash


def _place(error: BaseException) -> str:
    """File and line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
