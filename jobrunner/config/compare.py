"""Specs beside their defaults, and beside each other, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobrunner.config.derived import derived
from jobrunner.spec import RunSpec
from jobrunner.spec.paths import settings


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a spec and its default."""

    path: str
    """Dotted path."""
    value: Any
    default: Any
    """Value that the field has unless it is given: it may follow from the model or other fields.
    None if it has none."""

    @property
    def differs(self) -> bool:
        """True if the value is not the default."""
        return bool(self.value != self.default)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field that has two values in two specs."""

    path: str
    """Dotted path."""
    first: Any
    second: Any


def fields(spec: RunSpec) -> list[Field]:
    """All fields, those that differ from their defaults first."""
    found = values(spec)
    plain = {path: setting.default for path, setting in settings().items()}
    given = {path: value for path, value in found.items() if value != plain[path]}

    def default(path: str) -> Any:
        following = derived({other: v for other, v in given.items() if other != path})
        return following.get(path, (plain[path], ""))[0]

    # A value that follows from others was not given, so nothing follows from it.
    for path in list(given):
        if given[path] == default(path):
            del given[path]
    every = [Field(path=path, value=value, default=default(path)) for path, value in found.items()]
    return sorted(every, key=lambda field: not field.differs)


def differences(first: RunSpec, second: RunSpec) -> list[Difference]:
    """The fields that have other values in the second spec, in the order of the spec."""
    others = values(second)
    return [
        Difference(path=path, first=value, second=others[path])
        for path, value in values(first).items()
        if value != others[path]
    ]


def values(spec: RunSpec) -> dict[str, Any]:
    """Every field that can be set, by its dotted path."""
    short = {"data.source": spec.data.source.text, "data.revision": spec.data.source.revision}
    return {path: short[path] if path in short else _value(spec, path) for path in settings()}


def _value(spec: RunSpec, path: str) -> Any:
    value: Any = spec
    for name in path.split("."):
        value = getattr(value, name)
    return value
