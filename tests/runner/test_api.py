"""The API that the CLI and notebooks share: the verbs together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from jobrunner.backends.anywhere import Anywhere
from jobrunner.backends.local.backend import LocalBackend
from jobrunner.errors import SpecError, UnknownRun, UsageError, WaitTimeout
from jobrunner.runner.api import Runner, open_runner
from jobrunner.spec import RunSpec, keys
from jobrunner.states import State
from tests.builders import run_id

# One that goes on until it is stopped.
ENDLESS = "import signal; signal.pause()"

Spec = Callable[..., RunSpec]


def test_a_run_is_submitted_waited_for_and_deleted(runner: Runner, spec: Spec) -> None:
    submission = runner.submit(spec())

    assert submission.outcome == "created"
    assert submission.run == run_id(spec())
    assert runner.wait(submission.run, timeout=60).state is State.SUCCEEDED
    assert runner.submit(spec()).outcome == "adopted"
    assert [line.text for line in runner.logs(submission.run)] == [
        "00:00:00 prepare",
        "00:00:00 train",
        "00:00:00 evaluate --lang el",
    ]
    runner.delete(submission.run)
    assert runner.list() == []


def test_more_languages_are_evaluated_beside_those_that_were(runner: Runner, spec: Spec) -> None:
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)

    assert runner.evaluate(run, ["Swahili", "el"]).outcome == "continued"

    stages = runner.wait(run, timeout=60).stages
    assert [stage.stage for stage in stages[2:]] == ["evaluate-el", "evaluate-sw"]
    assert runner.record(run).spec.evaluate.languages == ("el", "sw")
    assert runner.evaluate(run, ["sw"]).outcome == "adopted"


def test_a_run_of_this_machine_is_evaluated_here_though_there_is_a_cluster(
    runner: Runner, spec: Spec
) -> None:
    def connect() -> NoReturn:
        raise AssertionError("the cluster was asked")

    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)
    anywhere = Runner(Anywhere(runner.backend, connect, warn=lambda line: None))

    assert anywhere.evaluate(run, ["sw"]).outcome == "continued"

    assert runner.wait(run, timeout=60).state is State.SUCCEEDED
    assert [stage.stage for stage in anywhere.status(run).stages][-1] == "evaluate-sw"


def test_no_language_or_an_unknown_one_or_an_unknown_run_evaluates_nothing(
    runner: Runner, spec: Spec
) -> None:
    with pytest.raises(UsageError, match="There is no run"):
        runner.evaluate("el-nothing-0", ["el"])
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)
    with pytest.raises(SpecError, match="names no language"):
        runner.evaluate(run, [])
    with pytest.raises(SpecError, match="klingon"):
        runner.evaluate(run, ["klingon"])


def test_waiting_ends_with_its_own_exit_code_and_the_run_goes_on(
    tmp_path: Path, spec: Spec
) -> None:
    command = (sys.executable, "-S", "-c", ENDLESS)
    runner = Runner(LocalBackend(tmp_path / "state", command=command, grace_seconds=1.0))
    run = runner.submit(spec()).run

    with pytest.raises(
        WaitTimeout, match=f"{run} has not ended after 0.2 s. It continues"
    ) as caught:
        runner.wait(run, timeout=0.2)

    assert caught.value.exit_code == 4
    assert not runner.status(run).state.ended
    runner.cancel(run)
    assert runner.status(run).state is State.CANCELLED


def test_without_a_cluster_it_says_what_to_type_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"There is no kubeconfig.* Set KUBECONFIG, or use --loc"):
        open_runner("kubernetes")
    (tmp_path / "config").write_text("nonsense")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(UsageError, match=r"^The kubeconfig cannot be used: .* Set KUBECONFIG"):
        open_runner("kubernetes")


def test_logs_are_of_a_run_and_a_stage_that_are_there(runner: Runner, spec: Spec) -> None:
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)
    lines = list(runner.logs(run))
    assert list(runner.logs(run, stage="train")) == lines[1:2]
    for follow in (False, True):
        with pytest.raises(SpecError, match=r"^stage: .* no stage 'tain'. It has prepare, train, "):
            runner.logs(run, stage="tain", follow=follow)
    runner.delete(run)
    with pytest.raises(UnknownRun, match=f"There is no run {run} on this machine"):
        runner.logs(run)


def test_an_ended_run_is_purged_and_its_data_stays(runner: Runner, spec: Spec) -> None:
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)
    storage = spec().open_storage()
    storage.write(f"{keys.data_prefix(spec(), 'el')}train/manifest.json", b"{}")
    removal = runner.purge(run)
    assert keys.run_file(run) in {entry.key for entry in removal.entries}
    assert [entry.key for entry in storage.list("")] == [
        f"{keys.data_prefix(spec(), 'el')}train/manifest.json"
    ]
    assert runner.list() == []
    assert runner.submit(spec()).outcome == "created"


def test_a_live_run_is_neither_purged_nor_are_its_checkpoints(tmp_path: Path, spec: Spec) -> None:
    command = (sys.executable, "-S", "-c", ENDLESS)
    runner = Runner(LocalBackend(tmp_path / "state", command=command, grace_seconds=1.0))
    run = runner.submit(spec()).run
    try:
        assert runner.live(f"{tmp_path}/storage/") == {run}
        assert runner.live(f"{tmp_path}/other") == set()
        for verb in (runner.removal, runner.purge, runner.checkpoints):
            with pytest.raises(UsageError, match=f"{run} has not ended: .* `jobrunner cancel"):
                verb(run)
    finally:
        runner.cancel(run)
    assert runner.live(f"{tmp_path}/storage") == set()
    assert spec().open_storage().stat(keys.run_file(run))


def test_a_run_that_is_nowhere_cannot_be_purged(runner: Runner, spec: Spec) -> None:
    storage = spec().open_storage()
    for where in (None, storage):
        with pytest.raises(UnknownRun):
            runner.purge("el-whisper-tiny-00000000", storage=where)
