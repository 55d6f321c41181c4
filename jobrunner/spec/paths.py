"""Dotted paths of the spec's fields as people set them, such as `train.steps`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from jobrunner.catalog import corpora
from jobrunner.errors import SpecError
from jobrunner.spec.run import RunSpec

# Users cannot choose the version of the format.
NOT_SETTABLE = {"version"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field that can be set."""

    kind: Any
    """Its type."""
    default: Any
    """None for a field without one."""
    description: str
    required: bool = False


# Settings in place of a field that is a list of tables.
_SHORT: dict[str, dict[str, Setting]] = {
    "data.sources": {
        "data.source": Setting(
            kind=str,
            default="fleurs",
            description=f"{corpora.forms()[:1].upper()}{corpora.forms()[1:]}.",
        ),
        "data.revision": Setting(
            kind=str,
            default="",
            description="Pins the source: a hub revision, or the fingerprint of a folder.",
        ),
    }
}
# Parts of such a field, as errors name them → the setting behind them.
_PARTS = {"data.sources": "data.source", "data.sources.revision": "data.revision"}


@cache
def settings() -> dict[str, Setting]:
    """Every field that can be set, by its dotted path, in the order of the spec."""
    by_path: dict[str, Setting] = {}
    for path, field in _fields(RunSpec, ""):
        if path in _SHORT:
            by_path |= _SHORT[path]
        elif path not in NOT_SETTABLE:
            by_path[path] = Setting(
                kind=field.annotation,
                default=None if field.is_required() else field.default,
                description=field.description or "",
                required=field.is_required(),
            )
    return by_path


def _fields(section: type[BaseModel], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


@cache
def sections() -> frozenset[str]:
    """Names of the spec's parts, which are tables in jobrunner.toml: `train`, `data` …"""
    return frozenset(path.partition(".")[0] for path in settings() if "." in path)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns values by dotted path into nested dictionaries."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        section, _, name = path.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    return tree


def as_set(path: str) -> str:
    """The setting behind a path within the spec."""
    for part in (path, path.rpartition(".")[0]):
        if part in _PARTS:
            return _PARTS[part]
    return path


def unknown(key: str, where: str = "", others: Iterable[str] = ()) -> SpecError:
    """The error for a key that is not a field; the hint names the nearest one.

    Args:
        key: the key that was given.
        where: the file, variable or option that gave it.
        others: names that are allowed there besides the fields.
    """
    given = f" ({where})" if where else ""
    if key in NOT_SETTABLE:
        problem = f"is the version of the format, which cannot be set{given}."
        return SpecError(key, problem, hint="Leave it out.")
    if key in sections():
        inner = [path for path in settings() if path.startswith(f"{key}.")]
        problem = f"is a group of fields{given}, such as {inner[0]}."
        return SpecError(key, problem, hint="`jobrunner config show` lists them.")
    known = [*settings(), *sections(), *others]
    last = key.rpartition(".")[2]
    near = [path for path in known if path.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not near:
        by_last = {path.rpartition(".")[2]: path for path in known}
        near = [by_last[name] for name in difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)]
    hint = f"Did you mean {near[0]}?" if near else "`jobrunner config show` lists all."
    shown = key if len(key) <= 60 else f"{key[:57]}..."
    return SpecError(shown, f"there is no such key{given}.", hint=hint)
