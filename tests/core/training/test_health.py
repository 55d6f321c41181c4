"""A run that goes wrong ends with the reason; one that goes well is left alone."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.training.health import HIGH_NORMS, MOST_NON_FINITE, Health
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


def feed(health: Health, losses: list[float], *, norm: float = 1.0, first: int = 1) -> None:
    for step, loss in enumerate(losses, start=first):
        health.accept(step, loss, norm)


def test_a_loss_that_starts_high_and_saturates_is_a_divergence_too() -> None:
    # Of a language that the model does not know: 3 nats at best, and never 3 times as much.
    health = healthy([3.0] * 100)
    with pytest.raises(Diverged, match=r"the loss is 4\.\d\d, after 3\.00 at its best"):
        climb(health)


def test_the_margin_grows_with_the_noise_of_single_steps() -> None:
    noisy = [2.0 + 1.5 * (-1) ** step for step in range(100)]
    healthy([*noisy, *(loss + 1.5 for loss in noisy)])
    with pytest.raises(Diverged):
        healthy([2.0] * 100 + [3.5] * 100)


def test_a_gradient_norm_far_over_its_median_ends_the_run_if_it_stays_there() -> None:
    health = healthy([2.0] * 100)
    for step in range(101, 101 + HIGH_NORMS - 1):
        assert health.accept(step, 2.0, 11.0)
    assert health.accept(110, 2.0, 9.0)
    with pytest.raises(
        Diverged, match=r"the norm of the gradient is over 10 times its median of 1"
    ):
        feed(health, [2.0] * (HIGH_NORMS + 1), norm=11.0, first=111)


def test_a_norm_that_is_not_even_clipped_ends_nothing() -> None:
    health = Health(TRAIN)
    for step in range(1, 300):
        assert health.accept(step, 2.0, 0.01 if step < 200 else 0.9)


def test_a_learning_rate_that_looks_too_high_is_said_early_and_once_with_one_to_try() -> None:
    lines: list[str] = []
    health = Health(TRAIN, usual=2e-3, log=lines.append)
    for step in range(1, 400):
        health.accept(step, 2.0 if step <= 200 else 2.7, 1.0)
    (line,) = lines
    assert line.startswith("step 234: the loss is 2.70, after 2.00 at its best; the learning rate ")
    assert line.endswith("The learning rate is 0.002; try 0.0005 with --learning-rate.")


def test_every_way_to_diverge_is_seen_within_the_first_thousand_steps() -> None:
    train = TrainSpec(steps=10_000, warmup_steps=500, learning_rate=2e-3)
    health = Health(train)
    with pytest.raises(Diverged, match=r"try the model's usual one, --learning-rate 1\.25e-05"):
        feed(health, [2.5] * 100 + [6.5] * 899)


def test_a_model_that_is_worse_than_the_base_model_twice_in_a_row_ends_the_run() -> None:
    lines: list[str] = []
    health = Health(TRAIN, log=lines.append)
    feed(health, [4.0] * 100)
    health.base = 1.2
    for loss in (3.5, 1.3, 3.6):
        health.validated(100, loss)
    assert [line.endswith("usual one, --learning-rate 1.25e-05.") for line in lines] == [True, True]
    with pytest.raises(Diverged, match=r"its validation loss is 3\.90, the base model's 1\.20"):
        health.validated(100, 3.9)


@pytest.mark.parametrize(
    ("step", "base", "trained", "validation"),
    [(100, 1.2, 4.0, 1.6), (100, 1.2, 0.1, 3.9), (100, None, 4.0, 3.9), (40, 1.2, 4.0, 3.9)],
    ids=["hardly worse", "learnt by heart", "base unknown", "warming up"],
)
def test_other_models_do_not(
    step: int, base: float | None, trained: float, validation: float
) -> None:
    health = healthy([trained] * step)
    health.base = base
    for _ in range(3):
        health.validated(step, validation)


def test_a_run_that_is_to_continue_says_each_trouble_once_until_it_has_passed() -> None:
    lines: list[str] = []
    health = Health(TRAIN.model_copy(update={"on_unhealthy": "continue"}), log=lines.append)
    for losses in ([0.8] * 100, [4.5] * 100, [0.8] * 100, [4.5] * 100):
        for loss in losses:
            assert health.accept(101, loss, 1.0)
    assert len(lines) == 2
    assert lines[0].startswith("unhealthy, and continuing: Training diverged: over the last 20 ")
    assert health.concern == "unhealthy"
    for _ in range(10):
        assert not health.accept(102, math.nan, 1.0)
    assert len(lines) == 3
    assert health.skipped == 10


def test_a_rate_that_was_lowered_is_the_one_that_the_advice_names() -> None:
    health = Health(TRAIN, usual=2e-3)
    health.lowered = 2
    assert health.factor == 0.25
    with pytest.raises(Diverged, match=r"rate is 0\.0005; try 0\.0001 with"):
        feed(health, [math.nan] * MOST_NON_FINITE)


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
    health.lowered, health.base = 1, 2.5
    health.validated(3, 2.0)
    other = Health(TRAIN)
    other.load(json.loads(json.dumps(health.state())))
    assert other.state() == health.state()


def test_the_state_of_an_older_checkpoint_is_read_too() -> None:
    health = Health(TRAIN)
    health.load({"skipped": 1, "in_a_row": 0, "recent": [2.0], "best": 1.5})
    assert (health.skipped, health.factor, health.base) == (1, 1.0, None)
