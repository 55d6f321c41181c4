"""The loss of a whole training in a few numbers; a model that learns its data by heart."""

from __future__ import annotations

import itertools
import json

import pytest

from jobrunner.core.training.curve import MOST, Curve, Overfitting


def _curve(losses: list[float]) -> Curve:
    curve = Curve()
    for loss in losses:
        curve.add(loss)
    return curve


def test_a_short_training_is_kept_as_it_is() -> None:
    assert Curve().values == ()
    assert _curve([3.0, 2.0, 1.0]).values == (3.0, 2.0, 1.0)


@pytest.mark.parametrize("steps", [31, 32, 33, 100, 1000, 9999])
def test_a_long_one_is_means_of_equal_stretches(steps: int) -> None:
    values = _curve([float(steps - n) for n in range(steps)]).values
    assert MOST // 2 <= len(values) <= MOST
    *complete, _ = values
    gaps = [a - b for a, b in itertools.pairwise(complete)]
    assert max(gaps) - min(gaps) < 0.01 * values[0]
    assert list(values) == sorted(values, reverse=True)


def test_values_are_short() -> None:
    assert _curve([1.23456789, 1e-9]).values == (1.235, 1e-9)


def test_a_step_without_a_loss_is_left_out() -> None:
    curve = Curve()
    for loss in (2.0, None, 1.0):
        curve.add(loss)
    assert curve.values == (2.0, 1.0)


def test_a_curve_from_a_history_continues_like_the_one_that_was_not_interrupted() -> None:
    losses = [100.0 / (n + 1) for n in range(150)]
    whole, resumed = _curve(losses), Curve()
    history = [{"step": n, "loss": loss} for n, loss in enumerate(losses[:70])]
    resumed.load([*history, {"step": 70, "metric": "wer", "rate": 0.5}])
    for loss in losses[70:]:
        resumed.add(loss)
    assert resumed.values == whole.values


# Steps, validation losses and training losses of a run on twenty minutes of speech.
OVERFITS = [(100, 1.2, 1.1), (200, 0.9, 0.7), (300, 0.95, 0.4), (400, 1.1, 0.2), (500, 1.3, 0.1)]


def told(validations: list[tuple[int, float, float]]) -> tuple[Overfitting, list[str]]:
    lines: list[str] = []
    watched = Overfitting(lines.append)
    for step, validation, training in validations:
        watched.add(step, validation, training)
    return watched, lines


def test_a_growing_gap_is_said_once_with_the_step_that_was_best() -> None:
    watched, lines = told(OVERFITS)
    (line,) = lines
    assert line == (
        "overfitting: since step 200 the validation loss rose from 0.90 to 1.10 while the training "
        "loss fell from 0.70 to 0.20. Another time try --steps 200, more speech, or --set "
        "train.dropout=0.1."
    )
    assert watched.concern == "overfitting since step 200"


def test_one_validation_that_is_worse_is_not_yet_overfitting() -> None:
    watched, lines = told(OVERFITS[:3])
    assert (watched.concern, lines) == ("", [])


def test_a_better_validation_ends_it() -> None:
    watched, _ = told([*OVERFITS, (600, 0.8, 0.1)])
    assert watched.concern == ""


def test_losses_that_rise_together_are_not_overfitting() -> None:
    watched, lines = told([(100, 1.0, 0.9), (200, 1.2, 1.1), (300, 1.4, 1.3), (400, 1.6, 1.5)])
    assert (watched.concern, lines) == ("", [])


def test_differences_below_the_noise_are_not_overfitting() -> None:
    watched, lines = told([(100, 1.0, 0.9), (200, 1.01, 0.8), (300, 1.015, 0.7), (400, 1.0, 0.6)])
    assert (watched.concern, lines) == ("", [])


def test_what_is_known_of_overfitting_goes_through_a_checkpoint() -> None:
    watched, _ = told(OVERFITS)
    other = Overfitting(print)
    other.load(json.loads(json.dumps(watched.state())))
    assert other.concern == watched.concern
    assert json.dumps(other.state()) == json.dumps(watched.state())
