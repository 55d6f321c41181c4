"""The state of the loop goes through a checkpoint."""

from __future__ import annotations

from jobrunner.core.checkpoint.train_state import TrainState


def test_the_loop_state_goes_through_json_unchanged() -> None:
    state = TrainState(step=3, audio_seconds=0.1 + 0.2, wer=1 / 3, history=[{"loss": 1e-17}])
    assert TrainState.from_json(*state.to_json()) == state
