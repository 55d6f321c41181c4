"""The loss of a whole training in a few numbers."""

from __future__ import annotations

import itertools

import pytest

from jobrunner.core.training.curve import MOST, Curve


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
