"""`jobrunner config show`."""

from __future__ import annotations

import click

from jobrunner.cli.options import RunOptions, output_option, spec_options
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
def show(options: RunOptions, kind: str) -> None:
    """Show each value of a run and where it comes from.

    From strongest to weakest: flags, JOBRUNNER_* variables, the profile, ./jobrunner.toml, the
    user's jobrunner.toml, presets, defaults.
    """
    import json

    configuration = options.load()
    configuration.check()
    if kind != "table":
        content = {
            "backend": configuration.backend,
            "profile": configuration.profile,
            "values": {
                path: {"value": value.value, "origin": value.origin}
                for path, value in configuration.values.items()
            },
        }
        # Through JSON, so that tuples are lists in YAML as well.
        out(structured(kind, json.loads(json.dumps(content))))
        return
    rows = [
        (path, _text(value.value), value.origin) for path, value in configuration.values.items()
    ]
    out(columns(("FIELD", "VALUE", "FROM"), rows))


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
