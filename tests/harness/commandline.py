"""The command line in this process, and runs to look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobrunner import cli
from jobrunner.backends.local.backend import LocalBackend
from jobrunner.runner.api import Runner
from tests import builders
from tests.harness.local import COMMAND


@dataclass(frozen=True)
class Answer:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str


Jobrunner = Callable[..., Answer]


@pytest.fixture
def jobrunner(here: Path, capsys: pytest.CaptureFixture[str]) -> Jobrunner:
    """Runs a command as if it were typed after `jobrunner`."""

    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        code = cli.run(arguments)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call


@dataclass(frozen=True)
class CliHarness:
    """Runs whose stages are quick and do as the test says (see stages/local.py)."""

    runner: Runner
    control: Path
    storage: Path

    def start(self, lang: str = "el", *, hold: str = "", fail: str = "") -> str:
        """Starts a run and gives its id.

        Args:
            lang: its language.
            hold: stage that waits until it is released.
            fail: stage that fails for good.
        """
        if hold:
            (self.control / f"hold-{hold}").touch()
        if fail:
            (self.control / f"codes-{fail}").write_text("65")
        spec = builders.spec(
            lang=lang,
            model="whisper-tiny",
            storage=str(self.storage),
            resources__device="cpu",
        )
        return self.runner.submit(spec).run

    def report(self, stage: str, **fields: Any) -> None:
        """Makes a stage that starts from now on report these fields of `Progress` too."""
        (self.control / f"progress-{stage}").write_text(json.dumps(fields))

    def trains(self, model: Path) -> None:
        """Makes training store the files of this folder as its export from now on."""
        (self.control / "export").write_text(str(model))

    def release(self, stage: str) -> None:
        (self.control / f"hold-{stage}").unlink()

    def begun(self, run: str, stage: str) -> None:
        """Returns when the stage has reported progress."""
        for status in self.runner.watch(run, timeout=30):
            now = next(each for each in status.stages if each.stage == stage)
            if now.state == "Running" and now.progress.steps:
                return
        raise AssertionError(f"{stage} of {run} did not begin")


@pytest.fixture
def harness(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliHarness]:
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("STAGE_CONTROL", str(control))
    backend = LocalBackend(command=COMMAND, grace_seconds=5.0, retry_seconds=0.05)
    cli_harness = CliHarness(runner=Runner(backend), control=control, storage=tmp_path / "storage")
    yield cli_harness
    for status in backend.list():
        backend.cancel(status.run)
