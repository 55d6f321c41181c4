"""Writes what is generated: `docs/reference.md` and the chart's `values.schema.json`.

    python docs/generate.py            write both
    python docs/generate.py --check    exit 1 if one of them is stale

`make generate` calls it; a test fails when either is stale.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from jobrunner import errors
from jobrunner.chart import values
from jobrunner.spec import RunSpec
from jobrunner.spec.paths import Setting, settings

ROOT = Path(__file__).resolve().parent.parent

# What a person or a pod may set. A test compares them with what the code reads.
VARIABLES = {
    "JOBRUNNER_<FIELD>": "Any field of the spec, such as `JOBRUNNER_TRAIN__STEPS=500`. A name "
    "without a meaning is refused.",
    "JOBRUNNER_PROFILE": "Profile to use, as `--profile`.",
    "JOBRUNNER_BACKEND": "`local` or `kubernetes`: where runs run unless `--local` is given.",
    "JOBRUNNER_STATE": "Folder in which the local backend keeps its runs.",
    "JOBRUNNER_DEBUG": "Shows the traceback of a defect.",
    "NO_COLOR": "No colours on the terminal.",
    "AWS_*": "Credentials and region of S3, by the ordinary AWS chain.",
    "HF_TOKEN": "Token of the model hub, for gated models and data.",
}
STAGE_VARIABLES = {
    "JOBRUNNER_SPEC": "File with the run's record (`run.json`).",
    "JOBRUNNER_RUN": "Id of the run, which must be that of the spec.",
    "JOBRUNNER_STAGE": "Name of the stage, such as `evaluate-el`.",
    "JOBRUNNER_ATTEMPT": "Name of this try: the pod's uid.",
    "JOBRUNNER_NAMESPACE": "Namespace of the run's Jobs.",
    "JOBRUNNER_SCRATCH": "Folder on a local disk; `--local` puts a folder for each run into it.",
    "JOBRUNNER_GRACE_SECONDS": "Seconds between SIGTERM and SIGKILL.",
    "JOBRUNNER_NODE": "Name of the node, which shows how long a spot node's notice is.",
    "JOBRUNNER_HEARTBEAT": "File in which one of several ranks gives signs of life.",
    "JOBRUNNER_METRICS_PORT": "Port of the Prometheus metrics.",
    "JOBRUNNER_PROGRESS_FILE": "Where to write progress, if anybody reads it.",
}
OUTPUT = (
    "## Output\n"
    "Results go to stdout, everything else to stderr: `RUN=$(jobrunner submit --wait …)` "
    "holds the run's id while the plan and the results are shown. A table is as wide as the"
    " terminal: columns that do not fit are left out of `list` (`-o wide` shows all of them) "
    "and `status` shows them below its table. Without a terminal nothing is left out.\n"
    "\n"
    "`-q` prints results and errors only. `-v` also prints the settings that are not "
    "defaults with their origin, and each request to the cluster and to S3 with its time. "
    "Both may stand before the command or behind it.\n"
    "\n"
    "`-o json` and `-o yaml` have a `version`. Times in `status` and `list` are RFC 3339 in"
    " UTC, to the second (`2026-11-21T18:00:00Z`), or null; in Python they are Unix times. "
    "`losses` of a stage are the loss from the first step to the last, in at most 32 means "
    "of equal stretches.\n"
)


def reference() -> str:
    """All of `docs/reference.md`."""
    return "\n".join(
        [
            "# Reference",
            "Generated from the code by `make generate`; a test fails when it is stale.",
            "",
            *_commands(),
            *_fields(),
            *_variables(),
            *OUTPUT.splitlines(),
            "",
            *_exit_codes(),
        ]
    )


def schema() -> str:
    """All of `values.schema.json`."""
    return json.dumps(values.schema(), indent=2, ensure_ascii=False) + "\n"


def files() -> dict[Path, str]:
    """What should stand in which file."""
    return {
        ROOT / "docs" / "reference.md": reference(),
        ROOT / "charts" / "speech-run" / "values.schema.json": schema(),
    }


def _commands() -> list[str]:
    group = importlib.import_module("jobrunner.cli").cli
    return ["## Commands", "", *_command(group, _context(group, "jobrunner", None))]


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = command.context_settings if parent is None else {}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _command(command: click.Command, context: click.Context) -> list[str]:
    context.terminal_width = context.max_content_width = 100
    lines = [f"### {context.command_path}", "", "```text", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            lines += _command(inner, _context(inner, name, context))
    return lines


def _fields() -> list[str]:
    lines = [
        "## Fields of the spec",
        "",
        "Each can be given in `jobrunner.toml`, as `--set PATH=VALUE`, or as a variable "
        "(`train.steps` is `JOBRUNNER_TRAIN__STEPS`).",
        "",
    ]
    parts: dict[str, type[BaseModel]] = {"": RunSpec}
    for name, field in RunSpec.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts[name] = field.annotation
    for name, part in parts.items():
        own = {path: each for path, each in settings().items() if path.rpartition(".")[0] == name}
        title = f"`{name}`" if name else "The run"
        lines += _table(title, inspect.getdoc(part) or "", part, own)
    return lines


def _table(title: str, told: str, part: type[BaseModel], own: dict[str, Setting]) -> list[str]:
    schemas = part.model_json_schema(mode="validation")["properties"]
    rows = [
        "| field | type | default | |",
        "|---|---|---|---|",
    ]
    for path, setting in own.items():
        # What people set of a list of tables is a text of its own.
        kind = _kind(schemas.get(path.rpartition(".")[2], {"type": "string"}))
        default = "required" if setting.required else _default(setting.default)
        rows.append(f"| `{path}` | {kind} | {default} | {setting.description} |")
    return [f"### {title}", told, "", *rows, ""]


def _kind(schema: dict[str, Any]) -> str:
    """Type and range of a field in a word or two."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'])}"
    names = {"integer": "whole number", "number": "number", "boolean": "true or false"}
    kind = names.get(schema["type"], "text")
    bounds = []
    if "exclusiveMinimum" in schema:
        bounds.append(f"over {schema['exclusiveMinimum']:g}")
    elif "minimum" in schema:
        bounds.append(f"{schema['minimum']:g} or more")
    if schema.get("maximum", 2**53) < 2**50:
        bounds.append(f"{schema['maximum']:g} at most")
    return f"{kind}, {', '.join(bounds)}" if bounds else kind


def _default(value: Any) -> str:
    if value in ("", ()):
        return "empty"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _variables() -> list[str]:
    lines = ["## Environment variables", "", "| variable | |", "|---|---|"]
    lines += [f"| `{name}` | {told} |" for name, told in VARIABLES.items()]
    lines += ["", "A stage reads these; the chart and the local backend set them.", ""]
    lines += ["| variable | |", "|---|---|"]
    lines += [f"| `{name}` | {told} |" for name, told in STAGE_VARIABLES.items()]
    return [*lines, ""]


def _exit_codes() -> list[str]:
    found = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception) and hasattr(kind, "exit_code")
    ]
    lines = [
        "## Exit codes",
        "",
        "Of commands: 0 to 4 and 130. The others are a stage's own; those marked * fail a Job at "
        "once, because a second attempt would fail in the same way.",
        "",
        "| code | error | |",
        "|---|---|---|",
        "| 0 | | Done. |",
    ]
    for kind in sorted(found, key=lambda kind: (kind.exit_code, kind.__name__)):
        mark = "*" if kind.exit_code in errors.PERMANENT_EXIT_CODES else ""
        told = (inspect.getdoc(kind) or "").partition("\n")[0]
        lines.append(f"| {kind.exit_code}{mark} | {kind.__name__} | {told} |")
    return [*lines, ""]


def main(arguments: list[str]) -> int:
    """Writes or checks the files, and gives the exit code."""
    stale = [
        path for path, text in files().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is stale' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            path.write_text(files()[path])
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
