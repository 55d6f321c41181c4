"""Typed values, and their conversion from text to number, truth value, list or text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, get_origin

from jobrunner.errors import SpecError
from jobrunner.spec.paths import settings, unknown

TRUE = {"true", "yes", "on", "1"}
FALSE = {"false", "no", "off", "0"}


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A value that was typed: the option, the field it sets, and the text."""

    origin: str
    """The option, such as `--steps`."""
    path: str
    """Dotted path of the field, such as `train.steps`."""
    text: str


def from_text(flag: Flag) -> Any:
    """Converts a typed text to the type of its field.

    Raises:
        SpecError: there is no such field, or the text does not fit its type.
    """
    if flag.path not in settings():
        raise unknown(flag.path, flag.origin)
    kind = settings()[flag.path].kind
    text = flag.text.strip()
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",")) if text else ()
    if kind is bool:
        if text.lower() in TRUE | FALSE:
            return text.lower() in TRUE
        raise _wrong(flag, "true or false")
    if kind is int:
        # Python converts at most 4,300 digits.
        if re.fullmatch(r"[+-]?[0-9]{1,4000}", text):
            return int(text)
        raise _wrong(flag, "a whole number")
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise _wrong(flag, "a number") from None
    return flag.text


def _wrong(flag: Flag, wanted: str) -> SpecError:
    shown = flag.text if len(flag.text) <= 60 else f"{flag.text[:57]}..."
    return SpecError(flag.path, f"{shown!r} is not {wanted} (from {flag.origin}).")
