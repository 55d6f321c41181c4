"""`jobrunner diff`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import columns, escape, out, plain, say, structured, text_of
from jobrunner.cli.select import Place, complete_run, find, place_options, reader

if TYPE_CHECKING:
    from jobrunner.scoring.result import Comparison


@click.command(
    epilog="""\b
Examples:
  jobrunner diff el-whisper-small-1f6e09ab el-whisper-small-8b31c2d4
  jobrunner diff el-whisper-small-1f @latest -o json
"""
)
@click.argument("first", metavar="RUN", shell_complete=complete_run)
@click.argument("second", metavar="RUN", shell_complete=complete_run)
@output_option("table", "yaml", "json")
@place_options
def command(first: str, second: str, kind: str, place: Place) -> None:
    """Show what differs between two runs.

    The fields of their specs that differ, and the leading rates of their results as far as they
    have been measured, in % with 95 % intervals. RUN is a run's id, its start or @latest.
    """
    from jobrunner.cli.report import results

    runner = reader(place)
    runs = [find(runner, first), find(runner, second)]
    fields = runner.diff(*runs)
    rates = _rates(runs, results(runner, runs, None).comparisons)
    if kind != "table":
        content = {
            "runs": runs,
            "fields": {each.path: [each.first, each.second] for each in fields},
            "results": rates,
        }
        out(structured(kind, plain(content)))
        return
    rows = [(each.path, text_of(each.first), text_of(each.second)) for each in fields]
    rows += [_row(rate) for rate in rates]
    if not fields:
        say("The specs are equal.")
    if rows:
        out(_table(runs, rows))


def _rates(runs: Sequence[str], found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Leading rates of each model, language and test set, one a run; None where it is unknown."""
    rates: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for comparison in found:
        for which, result in (("base", comparison.base), ("tuned", comparison.tuned)):
            if result is None:
                continue
            metric, lead = result.scores.metric.name, result.scores.lead
            key = (comparison.language, comparison.test_set, metric, which)
            rates.setdefault(key, {})[comparison.run] = {
                "value": lead.value,
                "low": lead.low,
                "high": lead.high,
            }
    return [
        {
            "language": language,
            "test_set": test_set,
            "metric": metric,
            "model": which,
            "rates": [by_run.get(run) for run in runs],
        }
        for (language, test_set, metric, which), by_run in sorted(rates.items())
    ]


def _row(rate: dict[str, Any]) -> tuple[str, str, str]:
    from jobrunner.scoring.metrics import METRICS

    label = METRICS[rate["metric"]].label
    which = "base" if rate["model"] == "base" else "fine-tuned"
    first, second = (_percent(each) for each in rate["rates"])
    return f"{label} {rate['language']} {rate['test_set']}, {which}", first, second


def _percent(rate: dict[str, float] | None) -> str:
    if rate is None:
        return ""
    value, low, high = (f"{100 * rate[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _table(runs: Sequence[str], rows: Sequence[tuple[str, str, str]]) -> str:
    """Three columns, or three lines a field on a terminal that is too narrow for that."""
    table = columns(("FIELD", *runs), rows)
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or max(map(len, table.splitlines())) <= width:
        return table
    room = max(map(len, runs))
    return "\n".join(
        f"{escape(name)}\n  {runs[0]:<{room}}  {escape(first) or '-'}\n"
        f"  {runs[1]:<{room}}  {escape(second) or '-'}"
        for name, first, second in rows
    )
