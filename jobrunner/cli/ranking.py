"""The runs of a sweep by their rates, the best first, and how clearly it is the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobrunner.cli.output import columns, escape, text_of

if TYPE_CHECKING:
    from jobrunner.runner.results import Results
    from jobrunner.spec import RunSpec


def ranking(found: Results, runs: Sequence[str], specs: Sequence[RunSpec]) -> str:
    """The table of some runs, the best first, and a line about the best."""
    from jobrunner.config.compare import values
    from jobrunner.reports.format import percent
    from jobrunner.runner import sweep

    order = sweep.ranked(found.comparisons)
    if not order:
        return "There are no results yet."
    paths = sweep.varied(specs)
    by_run = {
        run: [text_of(value) for path, value in values(spec).items() if path in paths]
        for run, spec in zip(runs, specs, strict=True)
    }
    label = order[0].either.scores.metric.label
    rows = [(*by_run[c.run], percent(c.either.scores.lead), c.run) for c in order]
    table = columns((*paths, f"{label} %", "RUN"), rows)
    return f"{table}\n\n{escape(_verdict(found, label))}"


def _verdict(found: Results, label: str) -> str:
    from jobrunner.reports.format import percent
    from jobrunner.runner import sweep

    best = sweep.best(found.comparisons)
    assert best is not None
    text = f"Best: {best.run}, {label} {percent(best.comparison.either.scores.lead)} %"
    if best.second is None:
        return f"{text}. No other run has a result."
    change = best.difference
    if change is None:
        return f"{text}. It cannot be compared with the second on the same utterances here."
    less = f"{-100 * change.value:.1f} [{-100 * change.high:.1f}, {-100 * change.low:.1f}] points"
    clear = "a clear difference" if best.clear else "the difference is not clear"
    return f"{text}; {less} less than the second: {clear}."
