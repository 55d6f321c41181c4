"""Tables, facts and curves in the room that a terminal has."""

from __future__ import annotations

import pytest

from jobrunner.cli import fit

HEAD = ("RUN", "AGE", "REASON")
ROWS = [["el-1", "3m", "no node fits it at all"], ["sw-1", "12h", ""]]


def test_a_table_without_a_terminal_keeps_all() -> None:
    assert fit.table(HEAD, ROWS, None, leave_out=HEAD, last=6) == ([*HEAD], ROWS)


def test_the_last_column_is_cut_where_one_sees_it() -> None:
    head, rows = fit.table(HEAD, ROWS, 25, leave_out=("AGE",), last=6)
    assert head == [*HEAD]
    assert [row[-1] for row in rows] == ["no node fits …", ""]
    assert fit.needed(head, rows) == 25


def test_columns_go_in_the_order_given_until_the_rest_fits() -> None:
    assert fit.table(HEAD, ROWS, 18, leave_out=("AGE", "REASON"), last=12)[0] == ["RUN", "REASON"]
    head, rows = fit.table(HEAD, ROWS, 9, leave_out=("REASON", "AGE"), last=12)
    assert (head, rows) == (["RUN", "AGE"], [["el-1", "3m"], ["sw-1", "12h"]])


def test_what_must_stay_stays_though_it_does_not_fit() -> None:
    assert fit.table(HEAD, ROWS, 2, leave_out=("REASON", "AGE"))[0] == ["RUN"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [(80, ["loss 1 · rate 2 · WER 3"]), (16, ["loss 1 · rate 2", "WER 3"]), (3, ["loss 1"])],
)
def test_facts_are_broken_between_each_other(width: int, expected: list[str]) -> None:
    facts = ["loss 1", "rate 2", "WER 3"][: 1 if width == 3 else 3]
    assert fit.lines(facts, width) == expected


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 8, ""),
        ([1.0], 8, ""),
        ([4.0, 3.0, 2.0, 1.0], 1, ""),
        ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 8, "█▇▆▅▄▃▂▁"),
        ([8.0, 8.0, 4.5, 4.5, 1.0, 1.0], 3, "█▅▁"),
        ([0.0, 0.0], 8, "▁▁"),
        ([10.0, 10.01, 10.0], 8, "▁▁▁"),
    ],
)
def test_a_curve_shows_what_changes_and_no_noise(
    values: list[float], width: int, expected: str
) -> None:
    assert fit.sparkline(values, width) == expected
