"""Clips of prepared speech without any audio."""

from __future__ import annotations

from typing import Any

from jobrunner.core.data.layout import Utterance


def utterance(text: str = "", *, index: int = 0, **changes: Any) -> Utterance:
    """A Greek clip of half a second.

    Args:
        text: what is said.
        index: its place.
        changes: other fields.
    """
    values: dict[str, Any] = {
        "shard": "train/0.flacs",
        "offset": 0,
        "size": 0,
        "seconds": 0.5,
        "speaker": "",
        "clip": str(index),
        "language": "el",
        **changes,
    }
    return Utterance(index=index, text=text, **values)
