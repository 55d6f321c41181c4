"""The steps that data deserve, and what follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.errors import SpecError
from jobrunner.spec import TrainSpec, schedule

# As `config/derived.py` makes it when neither steps nor epochs are given.
DEFAULT = TrainSpec(epochs=8.0, patience=3)
HOUR = 3600.0


@pytest.mark.parametrize(
    ("hours", "steps"), [(0.01, 8), (1, 48), (10, 456), (44, 1984), (45, 2000), (1000, 2000)]
)
def test_eight_epochs_and_two_thousand_steps_at_most(hours: float, steps: int) -> None:
    assert schedule.steps(DEFAULT, hours * HOUR) == steps


def test_given_epochs_have_no_other_limit_and_given_steps_are_done_whatever_the_data() -> None:
    epochs, steps = TrainSpec(epochs=2.5, steps=0), TrainSpec(steps=700)
    assert schedule.steps(epochs, 1000 * HOUR) == 14_063  # 2.5 × 5,625, rounded up
    assert (schedule.most_steps(epochs), schedule.most_steps(DEFAULT)) == (None, 2000)
    assert schedule.steps(steps, 1 * HOUR) == schedule.steps(steps, 1000 * HOUR) == 700


def test_of_both_limits_the_first_ends_the_training() -> None:
    both = TrainSpec(steps=100, epochs=3.0, warmup_steps=20)
    assert schedule.steps(both, 1 * HOUR) == 18
    assert schedule.steps(both, 10 * HOUR) == 100


def test_exact_steps_leave_the_options_as_they_were_given() -> None:
    train = TrainSpec(steps=600, warmup_steps=50, save_every=150, validate_every=150)
    assert schedule.applied(train, seconds=60.0, rate=1e-3) == train


def test_an_open_rate_becomes_the_usual_one_and_a_given_one_stays() -> None:
    usual = schedule.applied(TrainSpec(learning_rate=0.0), seconds=HOUR, rate=1e-3)
    assert usual == TrainSpec(learning_rate=1e-3)
    given = schedule.applied(TrainSpec(learning_rate=2e-5), seconds=HOUR, rate=1e-3)
    assert given.learning_rate == 2e-5


def test_validations_that_were_asked_for_are_not_moved() -> None:
    train = TrainSpec(epochs=8.0, validate_every=40, save_every=20)
    numbers = schedule.applied(train, seconds=10 * HOUR, rate=1e-5)
    assert (numbers.steps, numbers.validate_every, numbers.save_every) == (456, 40, 20)
    short = schedule.applied(train, seconds=0.1 * HOUR, rate=1e-5)
    assert (short.steps, short.validate_every, short.save_every) == (8, 8, 8)


@given(
    seconds=st.floats(1.0, 1e8),
    epochs=st.floats(0.01, 1000),
    most=st.sampled_from([0, 1, 10, 2000]),
    batch=st.floats(1.0, 86_400),
)
def test_the_numbers_always_fit_together(
    seconds: float, epochs: float, most: int, batch: float
) -> None:
    train = TrainSpec(epochs=epochs, steps=most, batch_seconds=batch, patience=3)
    numbers = schedule.applied(train, seconds=seconds, rate=1e-5)
    TrainSpec.model_validate(numbers.model_dump())  # what a spec of these numbers would have to be
    assert numbers.is_exact
    assert 0 <= numbers.warmup_steps <= min(500, numbers.steps / 5)
    assert numbers.validate_every <= max(1, numbers.steps / 8 + 1)
    assert numbers.validate_every % numbers.save_every == 0
    # Once applied, nothing is left to apply.
    assert schedule.applied(numbers, seconds=seconds * 2, rate=1e-2) == numbers


def test_a_training_that_nothing_ends_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^train\.steps: is 0, and so is train\.epochs"):
        TrainSpec(steps=0)
