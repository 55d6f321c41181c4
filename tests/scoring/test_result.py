"""Results are read in every version, and those of one language stand together."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.errors import StorageError
from jobrunner.scoring.rates import paired_difference, score
from jobrunner.scoring.result import compare, parse
from tests.harness.results import measure


def test_the_runs_own_language_comes_first_with_base_and_tuned_together() -> None:
    results = measure("de", 0.2, 0.3) + measure("el", 0.9, 0.1) + measure("th", 0.5, 0.5)
    comparisons = compare(reversed(results))
    assert [c.language for c in comparisons] == ["el", "de", "th"]
    assert all(c.base and c.tuned for c in comparisons)


def test_a_result_goes_through_its_file_unchanged() -> None:
    for result in measure("el", 0.9, 0.1):
        assert result.version == 2
        assert parse(result.model_dump_json().encode(), "key") == result


def test_a_result_of_version_1_is_read_and_can_be_compared() -> None:
    # Written by the code of version 1, of these texts.
    said = ["καλημέρα σας", "ναι", "τι κάνετε σήμερα;"]
    base, tuned = (
        score(said, written)
        for written in (
            ["καλημέρα", "όχι", "τι κάνεται σήμερα"],
            ["καλημέρα σας", "ναι", "τι κάνεται σήμερα;"],
        )
    )
    found = parse((Path(__file__).parent / "result_1.json").read_bytes(), "key")
    assert found.version == 1
    assert found.looped == 0
    assert found.scores == tuned
    assert found.change == paired_difference(base, found.scores)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version": 3}'])
def test_a_file_that_is_no_result_is_named(data: bytes) -> None:
    with pytest.raises(
        StorageError,
        match=r"^runs/el-x/key is not a result .* `jobrunner delete el-x`; submitted again",
    ):
        parse(data, "runs/el-x/key")
