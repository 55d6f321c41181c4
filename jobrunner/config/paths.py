"""The fields of the spec as a user sets them: dotted paths, and text that becomes their type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobrunner.errors import SpecError
from jobrunner.spec import RunSpec

# The format's own version is not a choice.
NOT_SETTABLE = {"version"}
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


@cache
def fields() -> dict[str, FieldInfo]:
    """Every field that can be set, by its dotted path, in the order of the spec."""
    found: dict[str, FieldInfo] = {}
    for name, field in RunSpec.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            found |= {f"{name}.{inner}": info for inner, info in part.model_fields.items()}
        elif name not in NOT_SETTABLE:
            found[name] = field
    return found


@cache
def sections() -> frozenset[str]:
    """Names of the spec's parts, which are tables in jobrunner.toml: `train`, `data` …"""
    return frozenset(path.partition(".")[0] for path in fields() if "." in path)


def default(path: str) -> Any:
    """The default of a field; None for `lang`, which has none."""
    field = fields()[path]
    return None if field.is_required() else field.default


def unknown(key: str, where: str, others: Iterable[str] = ()) -> SpecError:
    """The error for a key that is no field, with the nearest one.

    Args:
        key: what was given.
        where: the file, variable or option that gave it.
        others: names that are right there beside the fields.
    """
    known = [*fields(), *sections(), *others]
    last = key.rpartition(".")[2]
    same = [path for path in known if path.rpartition(".")[2] == last]
    near = same or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not near:
        by_last = {path.rpartition(".")[2]: path for path in known}
        near = [by_last[name] for name in difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)]
    hint = f"Did you mean {near[0]}?" if near else "`jobrunner config show` lists all."
    return SpecError(_short(key), f"there is no such key ({where}).", hint=hint)


def from_text(flag: Flag) -> Any:
    """The value that a text means for its field: number, truth, list or text.

    Raises:
        SpecError: there is no such field, or the text is nothing of its type.
    """
    if flag.path not in fields():
        raise unknown(flag.path, flag.origin)
    kind = fields()[flag.path].annotation
    text = flag.text.strip()
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",")) if text else ()
    if kind is bool:
        if text.lower() in TRUE | FALSE:
            return text.lower() in TRUE
        raise _wrong(flag, "true or false")
    if kind is int:
        # 4,300 digits is the most that Python converts.
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
    return SpecError(flag.path, f"{_short(flag.text)!r} is not {wanted} (from {flag.origin}).")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
