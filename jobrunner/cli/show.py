"""`jobrunner show`."""

from __future__ import annotations

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import columns, out, plain, say, structured, text_of, warn
from jobrunner.cli.select import Place, complete_run, find, place_options, reader

MARK = "*"
SAME = "same"


@click.command(
    epilog="""\b
Examples:
  jobrunner show
  jobrunner show el-whisper-small-1f6e09ab -o yaml
"""
)
@click.argument("run", required=False, shell_complete=complete_run)
@output_option("table", "yaml", "json")
@place_options
def command(run: str | None, kind: str, place: Place) -> None:
    """Show the spec of a run, as it was submitted.

    Fields that differ from their defaults come first, marked with *. RUN is a run's id or its
    start; without it, or with @latest, the newest run.
    """
    runner = reader(place)
    wanted = find(runner, run)
    fields, record = runner.show(wanted), runner.record(wanted)
    if record.unknown:
        left_out = ", ".join(record.unknown)
        warn(f"Only a newer jobrunner ({record.client}) knows these fields: {left_out}.")
    if kind == "table":
        say(f"{record.run}, submitted with jobrunner {record.client or 'of an unknown version'}")
        rows = [
            (
                f"{MARK if field.differs else ' '} {field.path}",
                text_of(field.default) if field.differs else SAME,
                text_of(field.value),
            )
            for field in fields
        ]
        out(columns(("  FIELD", "DEFAULT", "VALUE"), rows))
        return
    content = {
        "run": record.run,
        "client": record.client,
        "digest": record.digest,
        "differs": [field.path for field in fields if field.differs],
        "spec": {field.path: field.value for field in fields},
    }
    out(structured(kind, plain(content)))
