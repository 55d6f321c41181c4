"""Every command of docs/operations.md, typed as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness.cluster.backend import ClusterHarness
from tests.harness.paths import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text()
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    ")]
# What a command must print, besides ending well.
PRINTS = {
    "custom-columns": "50%, working, step 50/100",
    "jobrunner.dev/language=el,": "el-whisper-tiny-",
    "-L jobrunner.dev/language": "whisper-tiny",
    "jobrunner status": "Running",
    "jobrunner list": "el-whisper-tiny-",
    "jobrunner logs": "begins with el",
    "kubectl -n jobrunner logs": "train begins with el",
    "describe job": "jobrunner.dev/progress: 50%",
}


def test_every_command_of_the_page_does_what_it_says(
    harness: ClusterHarness, tmp_path: Path
) -> None:
    harness.hold("train")
    plan = harness.plan()
    harness.backend.submit(plan)
    harness.begun("train")
    harness.until_progress(plan.run, "train", 0.5)
    (tmp_path / "k8s").symlink_to(ROOT / "k8s")
    (tmp_path / "jobrunner").write_text(f'#!/bin/sh\nexec {sys.executable} -m jobrunner "$@"\n')
    (tmp_path / "jobrunner").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JOBRUNNER_STATE": str(tmp_path / "state"),
        "JOBRUNNER_STORAGE": f"{harness.bucket}/runs",
        "JOBRUNNER_CLUSTER__NAMESPACE": harness.namespace,
        "JOBRUNNER_CLUSTER__IMAGE": harness.image,
    }
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        typed = command.replace("-n jobrunner ", f"-n {harness.namespace} ")
        typed = typed.replace("RUN", plan.run)
        # The name of a column, not of a run.
        typed = typed.replace(f"'{plan.run}:.", "'RUN:.")
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{typed}\n{done.stdout}{done.stderr}"
        for part, expected in PRINTS.items():
            if part in command:
                assert expected in done.stdout, f"{typed}\n{done.stdout}"
    assert harness.backend.list() == []
