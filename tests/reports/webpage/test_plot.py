"""The picture of a page shows the rates."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from jobrunner.reports import compare, page
from tests.harness.results import measure


def test_the_marks_stand_where_the_rates_are() -> None:
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
