"""Results as CSV for spreadsheets and as Markdown for pages of others."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from jobrunner.catalog import languages
from jobrunner.reports.format import NOTHING, percent, points
from jobrunner.reports.rows import records
from jobrunner.scoring.result import Comparison

COLUMNS = ("run", "language", "test_set", "metric")
NOTE = (
    "Errors over reference units, with 95 % bootstrap intervals; greedy decoding; texts compared "
    "without case and punctuation, all combining marks kept. \\* marks a change whose interval "
    "excludes zero."
)


def flat_records(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """One dictionary for each model that was measured, with dotted names: `wer.marks.value`."""
    rows = []
    for record in records(comparisons):
        about = {name: record[name] for name in COLUMNS}
        for which in ("base", "tuned"):
            if measured := record[which]:
                rows.append({**about, "model": which, **_flat(measured)})
    return rows


def comma_separated(comparisons: Sequence[Comparison]) -> str:
    """One line for each model that was measured, after a line of names; rates are ratios."""
    rows = flat_records(comparisons)
    names = dict.fromkeys(name for row in rows for name in row) or [*COLUMNS, "model"]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().rstrip("\n")


def markdown(comparisons: Sequence[Comparison]) -> str:
    """A table with a line that explains it; the run is named if there are several."""
    several = len({comparison.run for comparison in comparisons}) > 1
    names = ["Language", "Test set", "Metric"]
    numbers = ["Base, %", "Fine-tuned, %", "Change, points", "Utterances"]
    first = ["Run"] if several else []
    lines = [
        f"| {' | '.join([*first, *names, *numbers])} |",
        f"|{'---|' * len([*first, *names])}{'--:|' * len(numbers)}",
    ]
    for comparison in comparisons:
        cells = [*([comparison.run] if several else []), *_cells(comparison)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, f"\n{NOTE}"])


def _cells(comparison: Comparison) -> list[str]:
    scores = comparison.either.scores
    rates = [
        percent(result.scores.lead) if result else NOTHING
        for result in (comparison.base, comparison.tuned)
    ]
    return [
        languages.find(comparison.language).label,
        _escaped(f"{comparison.test_set} {comparison.either.split}"),
        scores.metric.label,
        *rates,
        points(comparison.change).replace("*", r"\*"),
        str(scores.utterances),
    ]


def _escaped(text: str) -> str:
    """The text without a meaning in Markdown or HTML, for a cell of a table."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
