"""A model that learns its training data by heart."""

from __future__ import annotations

import json

from jobrunner.core.training.overfitting import Overfitting

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


def test_the_state_goes_through_a_checkpoint() -> None:
    watched, _ = told(OVERFITS)
    other = Overfitting(print)
    other.load(json.loads(json.dumps(watched.state())))
    assert other.concern == watched.concern
    assert json.dumps(other.state()) == json.dumps(watched.state())
