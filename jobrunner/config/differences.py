"""Settings of a run that differ from the defaults that it would have had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobrunner.config.derived import derived
from jobrunner.spec import RunSpec
from jobrunner.spec.paths import settings


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field of the spec with its value in a run."""

    path: str
    """Its dotted path, such as `train.steps`."""
    value: Any
    default: Any
    """The value without it: the preset's, one that follows from other fields, or the spec's."""

    @property
    def differs(self) -> bool:
        """True if the run would be another one without it."""
        return bool(self.value != self.default)


def settings_of(spec: RunSpec) -> list[Setting]:
    """Every setting of a run, in the order of the spec."""
    values = {path: _value(spec, path) for path in settings()}
    found = []
    for path, value in values.items():
        others = {other: values[other] for other in values if other != path}
        follows = derived(others).get(path)
        default = follows[0] if follows else settings()[path].default
        found.append(Setting(path=path, value=value, default=default))
    return found


def _value(spec: RunSpec, path: str) -> Any:
    """The value at a dotted path; the sources of speech as the text that people set."""
    if path == "data.source":
        return ", ".join(source.text for source in spec.data.sources)
    if path == "data.revision":
        return ", ".join(source.revision for source in spec.data.sources if source.revision)
    found: Any = spec
    for part in path.split("."):
        found = getattr(found, part)
    return found
