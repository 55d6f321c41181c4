"""A run as text: its stages, what it measured, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.backends.kubernetes.status import unreadable
from jobrunner.cli.run_text import facts, run_text
from jobrunner.errors import UnreadableRun
from jobrunner.states import Progress
from tests.harness.newer import MADE_BY
from tests.harness.recorded import made_by_newer


def test_a_run_that_cannot_be_read_here_is_shown_as_far_as_it_is_known(here: object) -> None:
    found = made_by_newer("running", {"version": 3})
    lines = run_text(unreadable(found, UnreadableRun(MADE_BY))).splitlines()
    assert lines[0] == f"{found.run}  Running"
    assert lines[1].startswith("on the cluster, submitted ")
    assert any(line.startswith("prepare") for line in lines)
    assert lines[-1] == MADE_BY


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"metric": "wer", "rate": 0.134, "best_rate": 0.134}, "WER 13.4%"),
        ({"metric": "wer", "rate": 0.134, "best_rate": 0.1}, "WER 13.4%, best 10.0%"),
        ({"metric": "cer", "rate": 0.0, "best_rate": 0.0}, "CER 0.0%"),
        ({"metric": "loss", "rate": 2.3174, "best_rate": 1.9}, "loss 2.317, best 1.900"),
    ],
)
def test_a_validation_is_shown_with_its_metric(found: dict[str, Any], shown: str) -> None:
    assert facts(Progress(message="training", **found)) == ["training", shown]


@pytest.mark.parametrize(
    "found", [{}, {"rate": 0.5, "best_rate": 0.4}, {"metric": "bleu", "rate": 0.5}], ids=str
)
def test_a_rate_of_an_unknown_metric_is_not_shown(found: dict[str, Any]) -> None:
    assert facts(Progress(message="training", **found)) == ["training"]
