"""What is measured of a model: each metric can be shown, compared and looked up."""

from __future__ import annotations

import pytest

from jobrunner.scoring.metrics import METRICS, RATES, Unit, leading


def test_names_are_keys_that_programs_can_use() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert name.isidentifier()
        assert metric.label
        assert metric.description


def test_rates_compare_texts_and_the_others_compare_none() -> None:
    assert [metric.name for metric in RATES] == ["wer", "cer"]
    assert all(metric.ratio for metric in RATES)
    assert {name for name, metric in METRICS.items() if not metric.unit} == {"loss", "perplexity"}


@pytest.mark.parametrize(("unit", "name"), [("words", "wer"), ("characters", "cer")])
def test_each_unit_has_a_metric_that_leads(unit: Unit, name: str) -> None:
    assert leading(unit) is METRICS[name]


@pytest.mark.parametrize("name", METRICS)
def test_of_two_values_one_is_better_and_of_equals_none(name: str) -> None:
    metric = METRICS[name]
    assert metric.better(0.1, 0.2)
    assert not metric.better(0.2, 0.1)
    assert not metric.better(0.2, 0.2)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("wer", 0.134, "13.4%"),
        ("cer", 0.0, "0.0%"),
        ("wer", 1.25, "125.0%"),
        ("loss", 2.31749, "2.317"),
        ("perplexity", 10.0, "10.000"),
    ],
)
def test_shares_are_shown_in_percent_and_others_as_numbers(
    name: str, value: float, shown: str
) -> None:
    assert METRICS[name].shown(value) == shown
