"""What an attempt finds of those before it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from jobrunner.core.attempt.attempt import cause_of_last_end
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage


def test_why_the_last_attempt_ended_is_read_from_its_log(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    run = "el-whisper-tiny-0"

    def cause() -> str:
        return cause_of_last_end(storage, run, "train")

    assert cause() == "killed"
    key = keys.log_file(run, "train", "a")
    storage.write(key, b"12:00:00 error: Stopped after step 5 of 9. Submit the run again.\n")
    assert cause() == "stopped"
    storage.write(key, b"12:00:00 error: Training diverged.\n")
    assert cause() == "failed"
    storage.write(f"{keys.checkpoint_prefix(run, 10)}COMMIT", b"b")
    old = time.time() - 60
    os.utime(tmp_path / key, (old, old))
    assert cause() == "killed"
