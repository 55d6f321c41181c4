"""The state of the loop goes through a checkpoint."""

from __future__ import annotations

import json

import pytest

from jobrunner.core.checkpoint.train_state import TrainState
from jobrunner.scoring.metrics import METRICS

# A checkpoint's state.json as version 0.1.0 wrote it while it knew the word error rate alone.
VERSION_1 = {
    "step": 500,
    "epoch": 2,
    "epoch_step": 7,
    "audio_seconds": 320000.5,
    "validated": 500,
    "wer": 0.25,
    "best_wer": 0.2,
    "best_step": 250,
    "worse": 1,
    "stopped_early": False,
    "resumes": 3,
    "passed_over": 0,
    "versions": {"torch": "2.8.0"},
    "health": {"skipped": 1},
}


def test_the_loop_state_goes_through_json_unchanged() -> None:
    state = TrainState(step=3, audio_seconds=0.1 + 0.2, rate=1 / 3, history=[{"loss": 1e-17}])
    assert TrainState.from_json(*state.to_json()) == state


def test_a_checkpoint_of_version_1_is_read_with_its_word_error_rates() -> None:
    history = b'{"step": 250, "wer": 0.2, "cer": 0.1}\n'
    state = TrainState.from_json(json.dumps(VERSION_1).encode(), history)
    assert (state.step, state.best_step, state.resumes) == (500, 250, 3)
    assert (state.rate, state.best_rate) == (0.25, 0.2)
    assert state.history == [{"step": 250, "wer": 0.2, "cer": 0.1}]
    # It continues as before: what it found last is what the next validation is compared with.
    assert not state.judge(750, METRICS["wer"], 0.22, patience=2)
    assert state.stopped_early


@pytest.mark.parametrize(
    ("rate", "best", "worse"), [(0.1, True, 0), (0.2, True, 1), (0.3, False, 1)]
)
def test_of_equals_the_later_is_the_best_and_patience_wants_a_gain(
    rate: float, best: bool, worse: int
) -> None:
    state = TrainState()
    assert state.judge(10, METRICS["wer"], 0.2, patience=0)
    assert state.judge(20, METRICS["wer"], rate, patience=0) == best
    assert (state.worse, state.best_step) == (worse, 20 if best else 10)
    assert (state.metric, state.rate, state.validated) == ("wer", rate, 20)
    assert not state.stopped_early


def test_patience_waits_while_more_is_wrong_than_was_said() -> None:
    state = TrainState()
    for number, rate in enumerate([1.04, 1.02, 1.06, 1.08, 1.42, 1.0], start=1):
        state.judge(number, METRICS["wer"], rate, patience=2)
        assert not state.stopped_early
    for number, rate in enumerate([0.6, 0.7, 0.6], start=7):
        state.judge(number, METRICS["wer"], rate, patience=2)
    assert state.stopped_early
    # A loss has no such bound.
    state = TrainState()
    for number in range(1, 4):
        state.judge(number, METRICS["loss"], 2.0 + number, patience=2)
    assert state.stopped_early
