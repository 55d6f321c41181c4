"""`jobrunner report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobrunner.catalog.backends import LOCAL
from jobrunner.cli.options import output_option
from jobrunner.cli.output import escape, out, say, structured, warn
from jobrunner.cli.select import Place, complete_run, find, place_options, reader
from jobrunner.errors import UsageError

if TYPE_CHECKING:
    from jobrunner.runner.api import Runner
    from jobrunner.scoring.result import Comparison

# Width of a table outside a terminal, in characters: nothing is cut.
WIDTH = 200


@click.command(
    epilog="""\b
Examples:
  jobrunner report
  jobrunner report @latest -o wide
  jobrunner report --storage s3://speech/runs --html report.html
"""
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_run)
@click.option(
    "--storage", metavar="URL", help="Where the results are, for runs submitted elsewhere."
)
@click.option("--html", "page", metavar="FILE", help="Also write the results as a page to FILE.")
@output_option("table", "wide", "json", "yaml", "html")
@place_options
def command(
    runs: tuple[str, ...], storage: str | None, page: str | None, kind: str, place: Place
) -> None:
    """Compare base and fine-tuned models per language.

    RUN is a run's id, its start or @latest; without one, all runs. Word or character error
    rates come with 95 % intervals; results outlive the runs that made them.
    """
    runner = reader(place)
    found = results(runner, [find(runner, run) for run in runs], storage)
    if page and found:
        from jobrunner.reports import page as render_page

        try:
            Path(page).expanduser().write_text(render_page(found), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--html: {page}: {(error.strerror or str(error)).lower()}.") from None
        say(f"Wrote {escape(page)}.")
    print_comparisons(found, kind)


def print_results(runner: Runner, runs: Sequence[str]) -> None:
    """Prints the table of some runs."""
    print_comparisons(results(runner, runs, None), "table")


def results(runner: Runner, runs: Sequence[str], storage: str | None) -> list[Comparison]:
    """Comparisons by run, language and test set.

    Args:
        runner: a runner, which knows the storage of its runs.
        runs: run ids; empty means all.
        storage: storage to look in instead.
    """
    from jobrunner import config
    from jobrunner.runner import results as stored

    flags = [config.Flag(origin="--storage", path="storage", text=storage)] if storage else []
    configured = config.load(flags=flags, backend=LOCAL)
    configured.check()
    return stored.results(
        runner,
        runs,
        storage=str(configured.values["storage"].value),
        endpoint=str(configured.values["cluster.storage_endpoint"].value),
        only=storage is not None,
        warn=warn,
    )


def print_comparisons(found: Sequence[Comparison], kind: str) -> None:
    """Prints results in one of the forms."""
    from jobrunner import reports

    if kind in {"json", "yaml"}:
        out(structured(kind, {"results": reports.records(found)}))
    elif not found:
        say("There are no results yet. `jobrunner status` shows how far the newest run has come.")
    elif kind == "html":
        out(reports.page(found))
    else:
        from rich.console import Console

        width = None if sys.stdout.isatty() else WIDTH
        Console(width=width, highlight=False).print(reports.table(found, wide=kind == "wide"))
