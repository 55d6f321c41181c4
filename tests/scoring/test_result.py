"""Results of one language stand together, those of a run's own language first."""

from __future__ import annotations

from jobrunner.scoring.result import compare
from tests.harness.results import measure


def test_the_runs_own_language_comes_first_with_base_and_tuned_together() -> None:
    results = measure("de", 0.2, 0.3) + measure("el", 0.9, 0.1) + measure("th", 0.5, 0.5)
    comparisons = compare(reversed(results))
    assert [c.language for c in comparisons] == ["el", "de", "th"]
    assert all(c.base and c.tuned for c in comparisons)
