"""Strict parsing of new specs, with the first problem in one line."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from jobrunner.errors import SpecError
from jobrunner.spec.paths import as_set, unknown
from jobrunner.spec.run import RunSpec


def parse(values: dict[str, Any]) -> RunSpec:
    """Parses nested dictionaries as a spec.

    Raises:
        SpecError: names the first wrong field by its dotted path, and what is wrong with it.
    """
    try:
        return RunSpec.model_validate(values)
    except ValidationError as error:
        raise first_problem(error) from None


def first_problem(error: ValidationError) -> SpecError:
    """The first error of a validation in one line, with the field's path as people set it."""
    first = error.errors(include_url=False)[0]
    cause = getattr(first.get("ctx", {}).get("error"), "__cause__", None)
    # Positions in a list are left out: `evaluate.languages`, not `evaluate.languages.0`.
    field = as_set(".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "spec")
    if isinstance(cause, SpecError):
        problem = cause.message.removeprefix(f"{cause.field}: ")
        return SpecError(field, problem, hint=cause.hint)
    if first["type"] == "extra_forbidden":
        return unknown(field)
    if first["type"] == "missing":
        return SpecError(field, "is missing.")
    if first["type"] in {"string_too_short", "too_short"} and not first["input"]:
        return SpecError(field, "is empty.")
    problem = first["msg"].removeprefix("Value error, ")
    given = repr(first["input"]) if first["type"] not in {"value_error", "missing"} else ""
    shown = given if len(given) <= 60 else given[:57] + "..."
    text = f"{problem[0].lower()}{problem[1:]}" + (f", not {shown}" if shown else "")
    return SpecError(field, f"{text}.")
