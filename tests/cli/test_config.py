"""`config show`: each value, and where it comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.harness.commandline import Jobrunner


def test_config_show_tells_where_each_value_comes_from(jobrunner: Jobrunner, here: Path) -> None:
    (here / "jobrunner.toml").write_text("[train]\nsteps = 100\n")
    answer = jobrunner("config", "show", "--model", "whisper-tiny", "--local")
    lines = [re.split(r"  +", line) for line in answer.out.splitlines()]
    assert lines[0] == ["FIELD", "VALUE", "FROM"]
    assert ["model", "whisper-tiny", "--model"] in lines
    assert ["train.steps", "100", "./jobrunner.toml"] in lines
    assert ["train.warmup_steps", "20", "follows from train.steps"] in lines
    told = json.loads(jobrunner("config", "show", "-o", "json").out)
    assert (told["version"], told["backend"]) == (1, "kubernetes")
    assert told["values"]["train.steps"] == {"value": 100, "origin": "./jobrunner.toml"}
