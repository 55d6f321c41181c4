"""Training as processes: real signals, real exit codes, several ranks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from jobrunner.core import train
from jobrunner.core.training import ranks
from jobrunner.errors import PERMANENT_EXIT_CODES
from tests.builders import stage_context
from tests.harness.processes import stage_variables
from tests.harness.stored import export_of
from tests.harness.tiny import make_run

# The first rank exports only after the other one has ended: nobody waits for it in a collective.
ALONE = """
import atexit, os, select, sys
from jobrunner.core import __main__ as core
from jobrunner.core.training import export

left = sys.argv.pop(1)
publish = export.publish_best

def publish_alone(*arguments):
    pipe = os.open(left, os.O_RDONLY | os.O_NONBLOCK)
    assert select.select([pipe], [], [], 60)[0], "the other rank still waits"
    publish(*arguments)

export.publish_best = publish_alone
if os.environ["RANK"] == "1":
    atexit.register(lambda: os.close(os.open(left, os.O_WRONLY)))
core.entry()
"""


def test_two_ranks_train_the_same_model_as_one_and_only_the_first_stays_for_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random masks differ from rank to rank, so there are none here.
    changes: dict[str, Any] = {"train__dropout": 0.0, "train__spec_augment": False}
    one, two = (make_run(tmp_path / name, **changes) for name in ("one", "two"))
    train.run(stage_context(one, tmp_path / "scratch"))
    for name, value in stage_variables(two, tmp_path, tmp_path / "two-scratch").items():
        monkeypatch.setenv(name, value)
    os.mkfifo(tmp_path / "left")
    assert ranks.run(2, [sys.executable, "-c", ALONE, str(tmp_path / "left"), "train"]) == 0
    weights = [
        safetensors.torch.load_file(export_of(spec) / "model.safetensors") for spec in (one, two)
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("code", [1, 3, 66, 143])
def test_a_rank_that_hangs_after_another_has_left_is_ended_and_the_code_is_that_of_the_other(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(ranks, "SECONDS_TO_END", 0.1)
    monkeypatch.setenv("JOBRUNNER_GRACE_SECONDS", "0.1")
    script = "import os, sys, time\nif os.environ['RANK'] == '1': sys.exit(int(sys.argv[1]))\n"
    script += "time.sleep(600)"
    assert ranks.run(2, [sys.executable, "-c", script, str(code)]) == code


def test_an_interrupted_rank_may_use_its_grace_to_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "SECONDS_TO_END", 0.0)
    monkeypatch.setenv("JOBRUNNER_GRACE_SECONDS", "60")
    script = "import os, sys\nif os.environ['RANK'] == '0': import json, csv, socket\nsys.exit(143)"
    assert ranks.run(2, [sys.executable, "-c", script]) == 143


HANGS = """
import os, sys, time
from jobrunner.core.attempt import heartbeat
heartbeat.beat(600.0 if os.environ["RANK"] == "0" else 0.2)
time.sleep(600)
"""


def test_a_rank_that_gives_no_sign_of_life_ends_the_attempt_which_can_be_tried_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = ranks.run(2, [sys.executable, "-c", HANGS])
    assert code == 1
    assert code not in PERMANENT_EXIT_CODES
    assert "error: Rank 1 gives no sign of life; this attempt ends." in capfd.readouterr().out


DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(600)
"""


def test_a_rank_that_does_not_stop_when_asked_is_killed_after_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JOBRUNNER_GRACE_SECONDS", "0.2")
    assert ranks.run(1, [sys.executable, "-c", DEAF]) == 137
