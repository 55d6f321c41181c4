"""The state of a run from those of its stages."""

from __future__ import annotations

import pytest

from jobrunner.states import StageStatus, State, run_state


def _state(*stages: str, blocked: bool = False) -> str:
    return run_state(
        tuple(
            StageStatus(stage=str(n), state=State(name), blocked=blocked and name == "Starting")
            for n, name in enumerate(stages)
        )
    )


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ("Waiting Waiting Waiting", "Queued"),
        ("Starting Waiting Waiting", "Starting"),
        ("Queued Waiting Waiting", "Queued"),
        ("Running Waiting Waiting", "Running"),
        ("Succeeded Waiting Waiting", "Running"),
        ("Succeeded Starting Waiting", "Running"),
        ("Succeeded Succeeded Starting", "Running"),
        ("Succeeded Succeeded Queued", "Queued"),
        ("Succeeded Succeeded Running Starting", "Running"),
        ("Succeeded Failed Waiting", "Failed"),
        ("Succeeded Cancelled Cancelled", "Cancelled"),
        ("Succeeded Stopped Waiting", "Stopped"),
        ("Succeeded Succeeded Succeeded", "Succeeded"),
    ],
)
def test_a_run_starts_once_and_runs_between_its_stages(stages: str, expected: str) -> None:
    assert _state(*stages.split()) == expected


def test_a_later_stage_that_cannot_start_is_not_called_running() -> None:
    assert _state("Succeeded", "Starting", blocked=True) == "Starting"
