"""Training as processes: real signals, real exit codes, several ranks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from jobrunner.core import train
from jobrunner.core.training import ranks
from tests.builders import stage_context
from tests.harness.processes import CORE, stage_variables
from tests.harness.stored import export_of
from tests.harness.tiny import make_run


def test_two_ranks_train_the_same_model_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random masks differ from rank to rank, so there are none here.
    changes: dict[str, Any] = {"train__dropout": 0.0, "train__spec_augment": False}
    one, two = (make_run(tmp_path / name, **changes) for name in ("one", "two"))
    train.run(stage_context(one, tmp_path / "scratch"))
    for name, value in stage_variables(two, tmp_path, tmp_path / "two-scratch").items():
        monkeypatch.setenv(name, value)
    assert ranks.run(2, [*CORE, "train"]) == 0
    weights = [
        safetensors.torch.load_file(export_of(spec) / "model.safetensors") for spec in (one, two)
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("code", [3, 66, 143])
def test_the_code_of_the_rank_that_failed_is_the_code_of_all(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(ranks, "SECONDS_TO_END", 0.1)
    script = "import os, sys, time\nif os.environ['RANK'] == '1': sys.exit(int(sys.argv[1]))\n"
    script += "time.sleep(0 if sys.argv[1] == '143' else 600)"
    assert ranks.run(2, [sys.executable, "-c", script, str(code)]) == code
