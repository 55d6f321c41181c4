"""Results are found in storage and shown as a table, as records and as a page."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from rich.console import Console

from jobrunner.report import collect, compare, page, records, table
from jobrunner.scoring.result import Result
from jobrunner.spec import names
from jobrunner.storage.local import LocalStorage

Measure = Callable[..., list[Result]]
OTHER = "hi-whisper-base-00c0ffee"


def store(storage: LocalStorage, results: list[Result]) -> None:
    for result in results:
        prefix = names.evaluation_prefix(result.run, result.which, result.test_set, result.language)
        storage.write(f"{prefix}result.json", result.model_dump_json().encode())
        storage.write(f"{prefix}predictions.parquet", b"PAR1")


def text(shown: object, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_results_of_a_run_are_found_and_no_others(tmp_path: Path, measure: Measure) -> None:
    storage = LocalStorage(tmp_path)
    mine = measure("el", 0.9, 0.1) + measure("en", 0.2, 0.3)
    store(storage, mine + measure("hi", 0.5, 0.4, run=OTHER))
    storage.write(f"runs/{mine[0].run}/export/result.json", b"{}")
    assert len(collect(storage, [mine[0].run])) == 4
    assert len(collect(storage)) == 6
    assert collect(storage, ["el-nobody-00000000"]) == []
    assert {r.language for r in collect(storage, [OTHER])} == {"hi"}


def test_a_result_that_cannot_be_read_is_named_and_left_out(
    tmp_path: Path, measure: Measure
) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, measure("el", 0.9, 0.1))
    broken = names.evaluation_prefix(OTHER, "base", "fleurs", "hi") + "result.json"
    storage.write(broken, b'{"version": 1}')
    lines: list[str] = []
    assert len(collect(storage, warn=lines.append)) == 2
    assert len(lines) == 1
    assert lines[0].startswith(broken)
    assert "evaluate again" in lines[0]


def test_the_runs_own_language_comes_first_with_base_and_tuned_together(measure: Measure) -> None:
    results = measure("de", 0.2, 0.3) + measure("el", 0.9, 0.1) + measure("th", 0.5, 0.5)
    comparisons = compare(reversed(results))
    assert [c.language for c in comparisons] == ["el", "de", "th"]
    assert all(c.base and c.tuned for c in comparisons)


def test_the_table_shows_rates_with_intervals_and_marks_what_is_significant(
    measure: Measure,
) -> None:
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


def test_the_table_of_one_run_fits_80_columns(measure: Measure) -> None:
    results = measure("el", 1.1, 0.1) + measure("yue", 0.6, 0.2)
    narrow, plenty = (text(table(compare(results)), width) for width in (80, 200))
    assert [line.rstrip() for line in narrow.splitlines()][:5] == [
        line.rstrip() for line in plenty.splitlines()
    ][:5]


def test_the_run_is_named_when_there_are_several(measure: Measure) -> None:
    one = measure("el", 0.9, 0.1)
    assert one[0].run not in text(table(compare(one)))
    both = text(table(compare(one + measure("hi", 0.5, 0.4, run=OTHER))))
    assert one[0].run in both
    assert OTHER in both


def test_a_result_without_its_base_shows_a_dash(measure: Measure) -> None:
    tuned = measure("el", 0.9, 0.1)[1:]
    row = next(line for line in text(table(compare(tuned))).splitlines() if "Greek" in line)
    assert row.count("–") == 2
    assert "*" not in row


def test_wide_adds_the_other_ways(measure: Measure) -> None:
    shown = text(table(compare(measure("el", 0.9, 0.1)), wide=True), width=240)
    for name in ("Run", "Raw", "Basic", "Empty", "RTFx", "0.21"):
        assert name in shown


def test_records_are_plain_data_with_all_six_rates(measure: Measure) -> None:
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


class _Audit(HTMLParser):
    """Collects what a page would fetch or run, and whether its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "onload"}]
        self.fetched += [tag] if tag in {"script", "link", "iframe", "img"} else []
        if tag not in {"meta", "line", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"line", "circle"}:
            assert self.open.pop() == tag


def test_the_page_is_complete_in_itself_and_well_formed(measure: Measure) -> None:
    results = measure("el", 0.9, 0.1) + measure("hi", 0.5, 0.4) + measure("th", 0.6, 0.2)
    made = page(compare(results))
    audit = _Audit()
    audit.feed(made)
    assert audit.fetched == []
    assert audit.open == []
    assert "http" not in made
    assert "prefers-color-scheme: dark" in made
    assert "In Hindi (hi), Thai (th) the basic way deletes vowel signs" in made
    picture = made[made.index("<svg") : made.index("</svg>") + 6]
    root = ElementTree.fromstring(picture)
    assert len(root.findall("g")) == 6
    assert page(compare(results)) == made


def test_what_comes_from_outside_is_escaped_in_the_page(measure: Measure) -> None:
    hostile = "<script>alert(1)</script>"
    results = [
        result.model_copy(update={"model": hostile, "device": hostile, "test_set": hostile})
        for result in measure("el", 0.9, 0.1)
    ]
    assert "<script" not in page(compare(results), title=hostile)


def test_the_marks_stand_where_the_rates_are(measure: Measure) -> None:
    results = measure("el", 0.9, 0.1)
    made = page(compare(results))
    root = ElementTree.fromstring(made[made.index("<svg") : made.index("</svg>") + 6])
    ticks = [t for t in root.findall("text") if t.get("class") == "tick" and t.text != ""]
    places = {float(t.text or 0): float(t.get("x", "")) for t in ticks if (t.text or "").isdigit()}
    first, last = min(places), max(places)
    scale = (places[last] - places[first]) / (last - first)
    for group, result in zip(root.findall("g"), results, strict=True):
        circle = group.find("circle")
        assert circle is not None
        expected = places[first] + scale * 100 * result.scores.lead.value
        assert float(circle.get("cx", "")) == pytest.approx(expected, abs=0.2)


def test_reports_need_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, jobrunner.report, jobrunner.report.modelcard;"
        "heavy = {'torch', 'numpy', 'pyarrow', 'jiwer', 'transformers', 'boto3', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
