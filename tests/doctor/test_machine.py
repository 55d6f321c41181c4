"""What a run on this machine needs, as `jobrunner doctor` shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.harness.commandline import Jobrunner


def test_doctor_tells_what_is_there_and_what_to_fix(jobrunner: Jobrunner, here: Path) -> None:
    answer = jobrunner("doctor")
    assert answer.code == 0, answer.err
    assert re.search(r"(?m)^ok +Python +3\.", answer.out)
    assert re.search(r"(?m)^ok +core packages +torch ", answer.out)
    (here / "file").touch()
    broken = jobrunner("doctor", "--storage", "file")
    assert broken.code == 1
    assert re.search(r"(?m)^fix +storage ", broken.out)
    assert broken.err == "error: 1 thing to fix before a run on this machine.\n"
    told = json.loads(jobrunner("doctor", "--storage", "file", "-o", "json").out)
    assert [c["name"] for c in told["checks"] if c["verdict"] == "fix"] == ["storage"]
