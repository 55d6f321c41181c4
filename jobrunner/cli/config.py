"""`jobrunner config show`."""

from __future__ import annotations

import click

from jobrunner.cli.options import Choice, output_option, spec_options
from jobrunner.cli.output import columns, out, structured


@click.group()
def command() -> None:
    """Show the configuration."""


@command.command(
    epilog="""\b
Examples:
  jobrunner config show
  jobrunner config show --lang el --model whisper-medium --profile a100-80gb
  jobrunner config show --local -o json
"""
)
@spec_options()
@output_option("table", "json", "yaml")
def show(choice: Choice, kind: str) -> None:
    """Show each value of a run and where it comes from.

    Flags win over JOBRUNNER_* variables, those over the profile, ./jobrunner.toml, the user's
    jobrunner.toml, presets and defaults.
    """
    import json

    configuration = choice.load()
    configuration.check()
    if kind != "table":
        told = {
            "backend": configuration.backend,
            "profile": configuration.profile,
            "values": {
                path: {"value": told.value, "origin": told.origin}
                for path, told in configuration.values.items()
            },
        }
        # Through JSON, so that tuples are lists in YAML as well.
        out(structured(kind, json.loads(json.dumps(told))))
        return
    rows = [(path, _text(told.value), told.origin) for path, told in configuration.values.items()]
    out(columns(("FIELD", "VALUE", "FROM"), rows))


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
