"""`jobrunner doctor`."""

from __future__ import annotations

import dataclasses

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import escape, out, paint, structured
from jobrunner.errors import JobrunnerError

SHOWN = {"ok": ("ok", "green"), "note": ("note", "yellow"), "mend": ("mend", "red")}


@click.command(
    epilog="""\b
Examples:
  jobrunner doctor
  jobrunner doctor --storage /data/jobrunner
"""
)
@click.option("--storage", metavar="URL", help="The storage to check.  [default: as configured]")
@output_option("table", "json", "yaml")
def command(storage: str | None, kind: str) -> None:
    """Check that this machine can run jobs with --local.

    Exit code 1 when something must be mended; a note is something to know.
    """
    from jobrunner import config, doctor

    flags = [config.Flag(origin="--storage", path="storage", text=storage)] if storage else []
    configuration = config.load(flags=flags, local=True)
    configuration.check()
    checks = doctor.examine(str(configuration.values["storage"].value))
    if kind != "table":
        out(structured(kind, {"checks": [dataclasses.asdict(check) for check in checks]}))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            word, colour = SHOWN[check.verdict]
            out(f"{paint(f'{word:<4}', colour)}  {check.name:<{width}}  {escape(check.found)}")
            if check.advice:
                out(f"{'':<{width + 8}}{escape(check.advice)}")
    broken = sum(check.verdict == "mend" for check in checks)
    if broken:
        raise JobrunnerError(f"{broken} thing{'s' * (broken > 1)} to mend before a local run.")
