"""`jobrunner config show`."""

from __future__ import annotations

import click

from jobrunner.cli.options import RunOptions, output_option, spec_options
from jobrunner.cli.output import columns, out, plain, structured, text_of


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
        out(structured(kind, plain(content)))
        return
    rows = [
        (path, text_of(value.value), value.origin) for path, value in configuration.values.items()
    ]
    out(columns(("FIELD", "VALUE", "FROM"), rows))
