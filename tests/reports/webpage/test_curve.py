"""The curves of a training stay within their picture, however long and whatever its values."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from jobrunner.reports.details import Curve
from jobrunner.reports.webpage.curve import HEIGHT, MOST_POINTS, WIDTH, averaged, curves
from jobrunner.scoring.metrics import METRICS


def _curve(losses: list[float], rates: list[float]) -> Curve:
    return Curve(
        losses=tuple(enumerate(losses, 1)),
        metric=METRICS["wer"],
        validations=tuple((10 * place, rate) for place, rate in enumerate(rates, 1)),
    )


@pytest.mark.parametrize(
    ("losses", "rates"),
    [([2.0], [0.5]), ([3.0, 3.0, 3.0], [1.0, 1.0]), ([1e-9, 1e6], [0.0, 2.5, 0.1])],
)
def test_every_point_is_within_the_picture(losses: list[float], rates: list[float]) -> None:
    root = ElementTree.fromstring(curves(_curve(losses, rates)))
    places = [
        tuple(float(number) for number in point.split(","))
        for line in root.iter("polyline")
        for point in line.get("points", "").split()
    ]
    assert len(places) == len(losses) + len(rates)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


def test_a_long_training_is_averaged_and_keeps_its_ends() -> None:
    points = averaged([(step, float(step)) for step in range(1, 100_001)])
    assert len(points) <= MOST_POINTS
    assert points[0][1] < 700
    assert points[-1][1] > 99_300


def test_the_best_validation_is_marked_and_said_in_words() -> None:
    made = curves(_curve([2.0, 1.0], [0.5, 0.2, 0.4]))
    assert made.count('class="best"') == 1
    assert "best 20.0% at step 20" in made


def test_a_training_without_validation_has_one_picture() -> None:
    assert curves(_curve([2.0, 1.0], [])).count("<svg") == 1
    assert curves(_curve([], [])) == ""
