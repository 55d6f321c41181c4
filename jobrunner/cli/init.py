"""`jobrunner init`."""

from __future__ import annotations

from pathlib import Path

import click

from jobrunner.cli.output import out, say
from jobrunner.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  jobrunner init
  jobrunner init --force
"""
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(force: bool) -> None:
    """Write a commented jobrunner.toml.

    The file is written to this folder. It lists every field of a run with its default, commented
    out.
    """
    from jobrunner.config.file import NAME
    from jobrunner.config.template import template

    path = Path(NAME)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise UsageError(f"{NAME} already exists.", hint="--force replaces it.") from None
    except OSError as error:
        raise UsageError(f"{NAME}: {(error.strerror or str(error)).lower()}.") from None
    out(str(path))
    say("Edit it, then see `jobrunner config show`.")
