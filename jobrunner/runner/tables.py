"""Results and lists of runs, for notebooks and pandas."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobrunner.errors import UsageError
from jobrunner.runner.results import PAGE_EXAMPLES, Results
from jobrunner.scoring.result import Comparison
from jobrunner.states import RunStatus

if TYPE_CHECKING:
    from pandas import DataFrame


class Report:
    """The results of base and fine-tuned models.

    Args:
        comparisons: one for each run, language and test set, in this order.
        results: the results that they are from, with the storages of their runs.
    """

    def __init__(
        self, comparisons: Sequence[Comparison], *, results: Results | None = None
    ) -> None:
        self.comparisons = tuple(comparisons)
        self._results = results or Results(comparisons=self.comparisons)

    def __len__(self) -> int:
        return len(self.comparisons)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)

    def __repr__(self) -> str:
        from rich.console import Console

        from jobrunner.reports.rows import table

        console = Console(width=200, highlight=False, color_system=None)
        with console.capture() as written:
            console.print(table(self.comparisons))
        return written.get()

    def _repr_html_(self) -> str:
        from jobrunner.reports.webpage import figures

        return figures(self.comparisons) if self.comparisons else "<p>There are no results yet.</p>"

    def to_records(self) -> list[dict[str, Any]]:
        """Plain data: rates are ratios, times are seconds."""
        from jobrunner.reports.rows import records

        return records(self.comparisons)

    def to_pandas(self) -> DataFrame:
        """One row for each model that was measured: the run, language and test set, which model,
        and its rates with their intervals. Raises UsageError without pandas."""
        from jobrunner.reports.plain import flat_records

        return _frame(flat_records(self.comparisons))

    def save(self, path: str | Path) -> None:
        """Writes the report as one self-contained HTML page, whole or not at all."""
        from jobrunner.reports import page, save

        details = self._results.details(PAGE_EXAMPLES, warn=_warn)
        save(Path(path).expanduser(), page(self.comparisons, details))


class RunList(list[RunStatus]):
    """Runs, newest first."""

    def _repr_html_(self) -> str:
        head = ("Run", "Language", "Model", "State", "Reason")
        rows = [(s.run, s.lang, s.model, s.state, s.reason) for s in self]
        cells = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
        titles = "".join(f"<th>{name}</th>" for name in head)
        return f"<table><tr>{titles}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

    def to_pandas(self) -> DataFrame:
        """One row for each run. Raises UsageError without pandas."""
        return _frame([{**s.model_dump(mode="json", exclude={"stages"})} for s in self])


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=4)


def _frame(rows: list[dict[str, Any]]) -> DataFrame:
    try:
        import pandas
    except ImportError:
        raise UsageError("pandas is not installed.", hint="pip install pandas") from None
    return pandas.DataFrame(rows)
