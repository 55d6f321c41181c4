"""Results as a table for people and as records for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jobrunner.catalog import languages
from jobrunner.reports.format import hours, percent, points
from jobrunner.scoring.metrics import RATES, Metric
from jobrunner.scoring.rates import Difference, Rate, Scores
from jobrunner.scoring.result import Comparison, Result
from jobrunner.scoring.text import LEADING, WAYS

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Column, Table

# Shown beside the leading metric: it can be compared across all languages.
SECOND = RATES[-1]
# Shown in a wide table beside the leading way.
OTHER_WAYS = [way for way in WAYS if way != LEADING]
CAPTION = (
    "Rates in % with their 95 % interval. * the change is significant: the 95 % interval of the "
    "paired difference excludes 0."
)


def table(comparisons: Sequence[Comparison], *, wide: bool = False, room: int = 0) -> Table | Group:
    """One row for each run, language and test set.

    Args:
        comparisons: the rows, in this order.
        wide: adds the run, hours, the other normalisations, the number of empty texts (references
            and hypotheses) and decode speed.
        room: columns of the terminal; where several runs do not fit, each gets a table with its
            id above. 0: as wide as it needs to be.
    """
    from rich.console import Group

    runs = list(dict.fromkeys(comparison.run for comparison in comparisons))
    whole = _table(comparisons, wide=wide, named=len(runs) > 1 or wide)
    if wide or len(runs) < 2 or not room or _width(whole) <= room:
        return whole
    tables = []
    for run in runs:
        own = _table([c for c in comparisons if c.run == run], wide=False, named=False)
        own.title, own.title_justify, own.title_style = run, "left", "bold"
        # The columns of all tables stand below each other.
        for column, common in zip(own.columns, whole.columns[1:], strict=True):
            column.min_width = _cell_width(common)
        own.caption = own.caption if run == runs[-1] else None
        tables.append(own)
    return Group(*tables)


def _table(comparisons: Sequence[Comparison], *, wide: bool, named: bool) -> Table:
    from rich import box
    from rich.table import Table

    rich_table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
        caption=f"{CAPTION} {_whose_second(comparisons)}",
        caption_justify="left",
        caption_style="dim",
    )
    # Narrow enough for 80 columns: the metric's own column has no heading.
    for name in (["Run"] if named else []) + ["Lang", "Test"]:
        rich_table.add_column(name, overflow="fold")
    rich_table.add_column("", no_wrap=True)
    right = ["Base", "Fine-tuned", "Change", SECOND.label, "Clips"]
    for name in right + (
        ["Hours", *(way.label for way in OTHER_WAYS), "Empty", "RTFx"] if wide else []
    ):
        rich_table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        run = [comparison.run] if named else []
        rich_table.add_row(*run, *_cells(comparison), *(_wide_cells(comparison) if wide else []))
    return rich_table


def _cell_width(column: Column) -> int:
    return max(len(str(text)) for text in (column.header, *column.cells))


def _width(rich_table: Table) -> int:
    """Columns of the terminal that a table needs, with one between two of its own."""
    return sum(_cell_width(column) + 1 for column in rich_table.columns) - 1


def _whose_second(comparisons: Sequence[Comparison]) -> str:
    """Says of which model the second rate of a row is."""
    tuned = [comparison.tuned is not None for comparison in comparisons]
    whose = "the fine-tuned model" if any(tuned) else "the base model"
    other = "" if all(tuned) or not any(tuned) else ", or else of the base model"
    return f"{SECOND.label} is that of {whose}{other}."


def _cells(comparison: Comparison) -> list[str]:
    either = comparison.either
    return [
        languages.find(comparison.language).name,
        comparison.test_set,
        either.scores.metric.label,
        percent(comparison.base.scores.lead if comparison.base else None),
        percent(comparison.tuned.scores.lead if comparison.tuned else None),
        points(comparison.change),
        percent(either.scores.rate(SECOND), interval=False),
        str(either.scores.utterances),
    ]


def _wide_cells(comparison: Comparison) -> list[str]:
    scores = comparison.either.scores
    return [
        hours(comparison.either.audio_seconds),
        *(percent(scores.rate(scores.metric, way), interval=False) for way in OTHER_WAYS),
        f"{scores.empty_references}+{scores.empty_hypotheses}",
        f"{comparison.either.rtfx:.0f}",
    ]


def records(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Comparisons as plain data for JSON and YAML; rates are ratios, times are seconds."""
    return [
        {
            "run": comparison.run,
            "language": comparison.language,
            "test_set": comparison.test_set,
            "split": comparison.either.split,
            "model": comparison.either.model,
            "metric": comparison.either.scores.metric.name,
            "base": _measured(comparison.base),
            "tuned": _measured(comparison.tuned),
            "change": _change(comparison.change),
        }
        for comparison in comparisons
    ]


def _measured(result: Result | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "lead": _rate(result.scores.lead),
        **{metric.name: _ways(result.scores, metric) for metric in RATES},
        "utterances": result.scores.utterances,
        "empty_references": result.scores.empty_references,
        "empty_hypotheses": result.scores.empty_hypotheses,
        "resampled": result.scores.resampled,
        "audio_seconds": result.audio_seconds,
        "decode_seconds": result.decode_seconds,
        "rtfx": result.rtfx,
        "device": result.device,
        "model_digest": result.model_digest,
        "data_digest": result.data_digest,
        "model_commit": result.model_commit,
        "data_commit": result.data_commit,
        "finished": result.finished,
    }


def _ways(scores: Scores, metric: Metric) -> dict[str, Any]:
    rates = {way.name: scores.rate(metric, way) for way in WAYS}
    return {name: _rate(rate) for name, rate in rates.items() if rate}


def _rate(rate: Rate) -> dict[str, float]:
    return {"value": rate.value, "low": rate.low, "high": rate.high}


def _change(change: Difference | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {**change.model_dump(mode="json"), "significant": change.significant}
