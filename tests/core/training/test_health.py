"""A run that goes wrong ends with the reason; one that goes well is left alone."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.training.health import MOST_NON_FINITE, Health
from jobrunner.errors import PERMANENT_EXIT_CODES, Diverged, JobrunnerError
from jobrunner.spec import TrainSpec

TRAIN = TrainSpec(steps=1000, warmup_steps=50, learning_rate=2e-3)


def healthy(losses: list[float]) -> Health:
    health = Health(TRAIN)
    for step, loss in enumerate(losses, start=1):
        assert health.accept(step, loss, 1.0)
    return health


@given(seed=st.integers(0, 1000), floor=st.floats(0.001, 3.0), noise=st.floats(0.0, 0.4))
def test_a_normal_run_never_alarms(seed: int, floor: float, noise: float) -> None:
    random = np.random.default_rng(seed)
    steps = np.arange(600)
    losses = (5.0 * np.exp(-steps / 60) + floor) * np.exp(noise * random.standard_normal(600))
    assert healthy(losses.tolist()).skipped == 0


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (1.0, math.inf), (math.inf, math.nan)])
def test_a_step_that_is_not_finite_is_skipped_and_counted(bad: tuple[float, float]) -> None:
    health = healthy([2.0] * 10)
    assert not health.accept(11, *bad)
    assert health.accept(12, 2.0, 1.0)
    assert health.skipped == 1


def test_several_in_a_row_end_the_run_with_a_line_about_the_learning_rate() -> None:
    health = healthy([2.0] * 10)
    for step in range(MOST_NON_FINITE - 1):
        assert not health.accept(11 + step, math.nan, 1.0)
    with pytest.raises(JobrunnerError) as caught:
        health.accept(20, math.nan, 1.0)
    assert "not finite in 5 steps in a row" in str(caught.value)
    wanted = "The learning rate is 0.002; try the model's usual one, --learning-rate 1.25e-05."
    assert wanted in str(caught.value)
    assert caught.value.exit_code == 70
    assert caught.value.exit_code in PERMANENT_EXIT_CODES


def test_a_rate_that_is_not_above_the_usual_one_is_to_be_lowered() -> None:
    health = Health(TRAIN, usual=2e-3)
    for step in range(1, MOST_NON_FINITE):
        health.accept(step, math.nan, 1.0)
    with pytest.raises(Diverged, match=r"rate is 0\.002; try 0\.0005 with --learning-rate\."):
        health.accept(MOST_NON_FINITE, math.nan, 1.0)


def test_a_loss_that_climbs_for_good_ends_the_run() -> None:
    health = healthy([4.0] * 50 + [0.8] * 100)
    with pytest.raises(JobrunnerError, match=r"diverged.*0\.80 at its best.*rate is 0\.002"):
        climb(health)


def climb(health: Health) -> None:
    for step in range(151, 400):
        health.accept(step, 4.5, 1.0)


def test_a_single_bad_batch_does_not_end_it() -> None:
    health = healthy([0.8] * 100)
    assert health.accept(101, 9.0, 50.0)
    assert health.accept(102, 0.8, 1.0)


def test_warm_up_is_left_alone() -> None:
    healthy([1.0] * 25 + [5.0] * 25)


def test_a_small_loss_that_triples_is_no_divergence() -> None:
    healthy([0.02] * 100 + [0.09] * 100)


def test_the_state_goes_through_a_checkpoint() -> None:
    health = healthy([3.0, 2.0])
    health.accept(3, math.nan, 1.0)
    other = Health(TRAIN)
    other.load(json.loads(json.dumps(health.state())))
    assert other.state() == health.state()
