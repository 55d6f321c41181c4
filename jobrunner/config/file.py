"""jobrunner.toml: fields of the spec at the top and in tables, and `[profiles.NAME]`.

backend = "local"            # or "kubernetes"
profile = "a100-80gb"        # unless --profile names another
model = "whisper-medium"

[train]
steps = 4000

[profiles.small.resources]
gpu_product = "NVIDIA-L4"
"""

from __future__ import annotations

import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobrunner.catalog.backends import BACKENDS
from jobrunner.errors import SpecError, UsageError
from jobrunner.spec.paths import sections, settings, unknown

NAME = "jobrunner.toml"
# Bytes. More than any configuration needs; keeps files such as /dev/zero out of memory.
LARGEST = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The content of one file."""

    shown: str
    """Name of the file in messages."""
    folder: Path
    """Relative folders in the file are relative to this one."""
    values: dict[str, Any] = field(default_factory=dict)
    """Values by dotted path."""
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    backend: str | None = None
    profile: str | None = None


def read(path: Path, shown: str) -> ConfigFile:
    """Reads a file and checks its keys; the spec checks the values later.

    Raises:
        UsageError: the file cannot be read or is not TOML.
        SpecError: a key does not exist; the hint names the nearest one.
    """
    top = _toml(path, shown)
    profiles = top.pop("profiles", {})
    backend, profile = (top.pop(name, None) for name in ("backend", "profile"))
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise SpecError("profiles", f"must be a table of tables, [profiles.NAME] ({shown}).")
    if backend is not None and backend not in BACKENDS:
        raise SpecError(
            "backend", f"must be one of {', '.join(BACKENDS)}, not {backend!r} ({shown})."
        )
    if profile is not None and not isinstance(profile, str):
        raise SpecError(
            "profile",
            f"is not the name of a profile ({shown}).",
            hint="A profile itself is a table [profiles.NAME].",
        )
    return ConfigFile(
        shown=shown,
        folder=path.absolute().parent,
        values=_flat(top, shown, others=("backend", "profile", "profiles")),
        profiles={name: _flat(part, f"{shown}, {name}") for name, part in profiles.items()},
        backend=backend,
        profile=profile,
    )


def _toml(path: Path, shown: str) -> dict[str, Any]:
    try:
        # Reading a named pipe without a writer would wait for ever; `<(command)` has one.
        if stat.S_ISFIFO(path.stat().st_mode) and not path.is_relative_to("/dev"):
            raise UsageError(f"{shown}: is a pipe, not a file.")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{shown}: {(error.strerror or str(error)).lower()}.") from None
    if len(data) > LARGEST:
        raise UsageError(
            f"{shown}: is larger than {LARGEST >> 20} MiB, so it cannot be a configuration."
        )
    try:
        return tomllib.loads(data.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{shown}: is not TOML: {error}.") from None
    except RecursionError:
        raise UsageError(f"{shown}: is nested too deeply.") from None


def _flat(table: dict[str, Any], shown: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in sections():
            if not isinstance(value, dict):
                raise SpecError(name, f"must be a table, [{name}], not {value!r} ({shown}).")
            values |= {f"{name}.{inner}": given for inner, given in value.items()}
        else:
            values[name] = value
    for path in values:
        if path not in settings():
            raise unknown(path, shown, others)
    return values
