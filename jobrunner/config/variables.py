"""Variables of the environment whose names begin with `JOBRUNNER_`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from jobrunner.config.flags import Flag
from jobrunner.errors import SpecError
from jobrunner.spec.paths import settings, unknown

PREFIX = "JOBRUNNER_"
# Names after the prefix that are not fields: of the configuration, of this machine, of a stage.
OTHERS = {
    *("BACKEND", "PROFILE"),
    *("STATE", "SCRATCH", "DEBUG"),
    *("SPEC", "RUN", "STAGE", "ATTEMPT", "PROGRESS_FILE"),
    *("NAMESPACE", "METRICS_PORT", "GRACE_SECONDS", "NODE", "HEARTBEAT"),
}
# The test suite's own; and what Kubernetes sets in pods for services that are called jobrunner-….
_FOREIGN = re.compile(
    r"TEST_.*|(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)"
)


def flags(variables: Mapping[str, str]) -> list[Flag]:
    """Flags from variables: `JOBRUNNER_TRAIN__STEPS` → `train.steps`; empty ones count as unset.

    Raises:
        SpecError: a name that begins with `JOBRUNNER_` means nothing.
    """
    found = []
    for name, text in variables.items():
        if not name.startswith(PREFIX) or not text:
            continue
        rest = name.removeprefix(PREFIX)
        path = rest.lower().replace("__", ".")
        if path in settings():
            found.append(Flag(origin=name, path=path, text=text))
        elif "." in path:
            raise unknown(path, name)
        elif rest not in OTHERS and not _FOREIGN.fullmatch(rest):
            raise _meaningless(name, rest)
    return found


def variable(path: str) -> str:
    """The variable that sets a field."""
    return f"{PREFIX}{path.upper().replace('.', '__')}"


def _meaningless(name: str, rest: str) -> SpecError:
    fields = [variable(path).removeprefix(PREFIX) for path in settings()]
    # A field is recognised by its last part, and by its path with a single underscore.
    near = [field for field in fields if rest in {field.rpartition("__")[2], _single(field)}]
    near = near or difflib.get_close_matches(rest, [*fields, *sorted(OTHERS)], n=1, cutoff=0.75)
    if not near:
        by_last = {field.rpartition("__")[2]: field for field in fields}
        near = [by_last[n] for n in difflib.get_close_matches(rest, by_last, n=1, cutoff=0.75)]
    hint = "Unset it; `jobrunner config show` lists the fields that can be set."
    if near:
        hint = f"Did you mean {PREFIX}{near[0]}?"
    return SpecError(name, "there is no such variable.", hint=hint)


def _single(field: str) -> str:
    return field.replace("__", "_")
