"""Results as a table for people, and as records for programs."""

from __future__ import annotations

import io
import json

import pytest
import yaml
from rich.console import Console

from jobrunner.reports import compare, records, table
from tests.harness.results import measure

OTHER = "hi-whisper-base-00c0ffee"


def text(shown: object, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_shows_rates_with_intervals_and_marks_what_is_significant() -> None:
    results = measure("el", 0.9, 0.1) + measure("en", 0.3, 0.3) + measure("th", 0.6, 0.2)
    shown = text(table(compare(results)))
    greek, english, thai = (
        next(line for line in shown.splitlines() if name in line)
        for name in ("Greek", "English", "Thai")
    )
    lead = results[1].scores.lead
    assert f"{100 * lead.value:.1f} [{100 * lead.low:.1f}, {100 * lead.high:.1f}]" in greek
    assert "WER" in greek
    assert "CER" in thai
    assert "−" in greek
    assert "*" in greek
    assert "*" not in english
    assert "fleurs" in greek
    assert "80" in greek


def test_the_table_of_one_run_fits_80_columns() -> None:
    results = measure("el", 1.1, 0.1) + measure("yue", 0.6, 0.2)
    narrow, plenty = (text(table(compare(results)), width) for width in (80, 200))
    assert [line.rstrip() for line in narrow.splitlines()][:5] == [
        line.rstrip() for line in plenty.splitlines()
    ][:5]


def test_the_run_is_named_when_there_are_several() -> None:
    one = measure("el", 0.9, 0.1)
    assert one[0].run not in text(table(compare(one)))
    both = text(table(compare(one + measure("hi", 0.5, 0.4, run=OTHER))))
    assert one[0].run in both
    assert OTHER in both


def test_a_result_without_its_base_shows_a_dash() -> None:
    tuned = measure("el", 0.9, 0.1)[1:]
    row = next(line for line in text(table(compare(tuned))).splitlines() if "Greek" in line)
    assert row.count("–") == 2
    assert "*" not in row


def test_wide_adds_the_other_ways() -> None:
    shown = text(table(compare(measure("el", 0.9, 0.1)), wide=True), width=240)
    for name in ("Run", "Raw", "Basic", "Empty", "RTFx", "0.21"):
        assert name in shown


def test_records_are_plain_data_with_all_six_rates() -> None:
    made = records(compare(measure("el", 0.9, 0.1)))
    assert json.loads(json.dumps(made)) == made
    assert yaml.safe_load(yaml.safe_dump(made)) == made
    record = made[0]
    assert record["metric"] == "wer"
    assert record["change"]["significant"] is True
    for which in ("base", "tuned"):
        measured = record[which]
        assert measured["lead"] == measured["wer"]["marks"]
        for metric in ("wer", "cer"):
            for way in ("raw", "marks", "basic"):
                rate = measured[metric][way]
                assert rate["low"] <= rate["value"] <= rate["high"]
    assert record["tuned"]["rtfx"] == pytest.approx(14.0)


def test_several_runs_on_a_narrow_terminal_get_a_table_each() -> None:
    both = compare([*measure("el", 0.5, 0.4), *measure("hi", 0.5, 0.4, run=OTHER)])
    lines = text(table(both, room=80), 80).splitlines()
    assert [line.strip() for line in lines if line.strip() in {both[0].run, OTHER}] == [
        both[0].run,
        OTHER,
    ]
    assert sum("Rates in %" in line for line in lines) == 1
    greek, hindi = (next(line for line in lines if name in line) for name in ("Greek", "Hindi"))
    assert greek.index("WER") == hindi.index("WER")
    assert "Run" in text(table(both, room=200), 200).splitlines()[0]
