"""`jobrunner report`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import escape, out, say, structured, warn
from jobrunner.cli.select import (
    Place,
    complete_run,
    configured_storage,
    find,
    place_options,
    reader,
)
from jobrunner.errors import UsageError

if TYPE_CHECKING:
    from jobrunner.reports.examples import Examples
    from jobrunner.runner.api import Runner
    from jobrunner.runner.results import Results

# Width of a table outside a terminal, in characters: nothing is cut.
WIDTH = 200


@click.command(
    epilog="""\b
Examples:
  jobrunner report
  jobrunner report @latest -o wide
  jobrunner report @latest --examples 3
  jobrunner report --storage s3://speech/runs --html report.html
"""
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_run)
@click.option("--group", metavar="NAME", help="The runs of a sweep, the best first.")
@click.option(
    "--storage", metavar="URL", help="Where the results are, for runs submitted elsewhere."
)
@click.option("--html", "page", metavar="FILE", help="Also write the results as a page to FILE.")
@click.option(
    "--examples",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Show the N worst and the N median utterances too.  [default on a page: 10]",
)
@output_option("table", "wide", "json", "yaml", "csv", "markdown", "html")
@place_options
def command(
    runs: tuple[str, ...],
    group: str | None,
    storage: str | None,
    page: str | None,
    examples: int | None,
    kind: str,
    place: Place,
) -> None:
    """Compare base and fine-tuned models per language.

    RUN is a run's id, its start or @latest; without one, all runs. Word or character error
    rates come with 95 % intervals; results outlive the runs that made them.
    """
    if examples and kind in {"csv", "markdown"}:
        raise UsageError(
            f"--examples: {kind} has no place for them.", hint="Use a table, -o json or --html."
        )
    runner = reader(place)
    if group:
        runs = (*runs, *_of_group(runner, group, ranked=kind == "table"))
    found = results(runner, [find(runner, run) for run in runs], storage)
    if page and found:
        write_page(found, page, examples)
    if not found and kind not in {"json", "yaml", "csv"}:
        say(f"There are no results yet. {_where_to_look(storage)}")
    elif kind == "html":
        out(_page(found, examples))
    else:
        print_results_as(found, kind, found.examples(examples, warn=warn) if examples else None)
    if kind in {"table", "wide"} and (model := found.model(warn=warn)):
        say("\n".join(["", *map(escape, model.splitlines())]))


def _of_group(runner: Runner, group: str, *, ranked: bool) -> list[str]:
    """The runs of a sweep; prints which is best if `ranked` is true.

    Raises:
        UsageError: no run that is known here is of that group.
    """
    from jobrunner.errors import UnreadableRun

    specs = {}
    for status in runner.list():
        with contextlib.suppress(UnreadableRun):
            spec = runner.record(status.run).spec
            if spec.group == group:
                specs[status.run] = spec
    if not specs:
        hint = "A submit with --sweep prints the name of its group."
        raise UsageError(f"--group: no run is of the group {group[:60]!r}.", hint=hint)
    if ranked:
        from jobrunner.cli.ranking import ranking

        found = results(runner, list(specs), None)
        out(f"{ranking(found, list(specs), list(specs.values()))}\n")
    return list(specs)


def print_results(runner: Runner, runs: Sequence[str], *, err: bool = False) -> None:
    """Prints the table of some runs, if they have results; on stderr if `err` is true."""
    found = results(runner, runs, None)
    if found:
        print_results_as(found, "table", err=err)
    else:
        say(f"There are no results yet. {_where_to_look(None)}")


def results(runner: Runner, runs: Sequence[str], storage: str | None) -> Results:
    """Results by run, language and test set.

    Args:
        runner: a runner, which knows the storage of its runs.
        runs: run ids; empty means all.
        storage: storage to look in instead.
    """
    from jobrunner.runner import results as stored

    place, endpoint = configured_storage(storage)
    return stored.results(
        runner,
        runs,
        storage=place,
        endpoint=endpoint,
        only=storage is not None,
        warn=warn,
    )


def write_page(found: Results, file: str, examples: int | None) -> None:
    """Writes the results as a page, whole or not at all."""
    from jobrunner import reports

    try:
        reports.save(Path(file).expanduser(), _page(found, examples))
    except OSError as error:
        raise UsageError(f"--html: {file}: {(error.strerror or str(error)).lower()}.") from None
    say(f"Wrote {escape(file)}.")


def _page(found: Results, examples: int | None) -> str:
    from jobrunner import reports
    from jobrunner.runner.results import PAGE_EXAMPLES

    details = found.details(examples or PAGE_EXAMPLES, warn=warn)
    return reports.page(found.comparisons, details)


def print_results_as(
    found: Results, kind: str, examples: Sequence[Examples] | None = None, *, err: bool = False
) -> None:
    """Prints results in one of the forms.

    Args:
        found: the results.
        kind: the form: `table`, `wide`, `json`, `yaml`, `csv` or `markdown`.
        examples: utterances to show too; None for none.
        err: True to print a table on stderr.
    """
    from jobrunner import reports
    from jobrunner.cli.example_text import example_text
    from jobrunner.reports.examples import with_examples

    comparisons = found.comparisons
    if kind in {"json", "yaml"}:
        out(structured(kind, {"results": with_examples(reports.records(comparisons), examples)}))
    elif kind == "csv":
        out(reports.comma_separated(comparisons))
    elif kind == "markdown":
        out(reports.markdown(comparisons))
    else:
        from rich.console import Console

        stream = sys.stderr if err else sys.stdout
        width = None if stream.isatty() else WIDTH
        console = Console(width=width, highlight=False, stderr=err)
        console.print(reports.table(comparisons, wide=kind == "wide", room=console.width))
        for each in examples or ():
            out(f"\n{example_text(each, console.width)}")


def _where_to_look(storage: str | None) -> str:
    if storage:
        return f"{escape(storage)} holds none."
    return "`jobrunner status` shows how far the newest run has come."
