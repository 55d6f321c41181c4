"""The tables of a page. On a narrow screen its style turns each row into a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import product

from jobrunner.catalog import languages
from jobrunner.reports.format import NOTHING, hours, percent, points
from jobrunner.scoring.metrics import RATES
from jobrunner.scoring.result import Comparison, Result
from jobrunner.scoring.text import WAYS


def figures(comparisons: Sequence[Comparison], notes: Mapping[str, str] | None = None) -> str:
    """The table of rates, changes and sizes.

    Args:
        comparisons: the rows, in this order.
        notes: the text that tells a run from the others, by its id.
    """
    names = ["Base, %", "Fine-tuned, %", "Change, points", "Utterances", "Hours", "Speed"]
    several = len({comparison.run for comparison in comparisons}) > 1
    rows = []
    for comparison in comparisons:
        either = comparison.either
        cells = [
            _rate_cell(comparison.base),
            _rate_cell(comparison.tuned),
            _change_cell(comparison),
            str(either.scores.utterances),
            hours(either.audio_seconds),
            f"{either.rtfx:.0f}×",
        ]
        rows.append(_row(_named(comparison, several, notes or {}), names, cells))
    return _table(["Language", *names], rows)


def ways(comparisons: Sequence[Comparison], notes: Mapping[str, str] | None = None) -> str:
    """The table of both rates, normalised in each way."""
    columns = list(product(RATES, WAYS))
    names = [f"{metric.label} {way.name}" for metric, way in columns]
    several = len({comparison.run for comparison in comparisons}) > 1
    rows = []
    for comparison in comparisons:
        for result in (comparison.base, comparison.tuned):
            if result is None:
                continue
            rates = [result.scores.rate(metric, way) for metric, way in columns]
            model = "base model" if result.which == "base" else "fine-tuned"
            head = _head(comparison, [model], several, notes or {})
            rows.append(_row(head, names, [percent(rate, interval=False) for rate in rates]))
    return _table(["Language and model", *names], rows)


def _table(names: Sequence[str], rows: Sequence[str]) -> str:
    heads = "".join(
        f'<th scope="col"{"" if place else " class=left"}>{escape(name)}</th>'
        for place, name in enumerate(names)
    ).replace("class=left", 'class="left"')
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{''.join(rows)}</tbody></table>"


def _row(head: str, names: Sequence[str], cells: Sequence[str]) -> str:
    data = "".join(
        f'<td data-label="{escape(name)}"><span>{cell}</span></td>'
        for name, cell in zip(names, cells, strict=True)
    )
    return f"<tr>{head}{data}</tr>\n"


def _named(comparison: Comparison, several: bool, notes: Mapping[str, str]) -> str:
    metric = comparison.either.scores.metric.label
    return _head(comparison, [f"{metric} on {comparison.test_set}"], several, notes)


def _head(
    comparison: Comparison, lines: Sequence[str], several: bool, notes: Mapping[str, str]
) -> str:
    """The first cell of a row: the language, and what tells the row from others."""
    name = escape(languages.find(comparison.language).label)
    note = notes.get(comparison.run, "")
    shown = [*lines, *([note or comparison.run] if several else [])]
    return f'<th scope="row">{name}{"".join(f"<small>{escape(one)}</small>" for one in shown)}</th>'


def _rate_cell(result: Result | None) -> str:
    if result is None:
        return NOTHING
    rate = result.scores.lead
    return f"{percent(rate, interval=False)} <small>{_span(rate.low, rate.high)}</small>"


def _change_cell(comparison: Comparison) -> str:
    change = comparison.change
    if change is None:
        return NOTHING
    kind = ("good" if change.value < 0 else "bad") if change.significant else ""
    span = _span(change.low, change.high)
    return f'<span class="{kind}">{points(change)}</span> <small>{span}</small>'


def _span(low: float, high: float) -> str:
    return f"[{100 * low:.1f}, {100 * high:.1f}]".replace("-", "−")
