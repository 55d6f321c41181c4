"""`export`: the model of a run in a folder, and how it is loaded from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobrunner.spec import keys
from jobrunner.storage import folders, open_storage
from tests import builders
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.paths import MICRO


def _with_model(harness: CliHarness) -> str:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    storage = open_storage(str(harness.storage))
    folders.publish(storage, keys.export_prefix(run), MICRO, changing=[keys.CARD])
    return run


def test_a_model_is_copied_and_the_lines_that_load_it_are_shown(
    jobrunner: Jobrunner, harness: CliHarness, here: Path
) -> None:
    run = _with_model(harness)
    answer = jobrunner("export", run[:8], "greek")
    assert (answer.code, answer.out) == (0, "greek\n")
    assert "model.safetensors, 6.0 MB\n" in answer.err
    assert f"files of {run} were copied and verified.\n" in answer.err
    assert 'pipeline("automatic-speech-recognition", model="greek")' in answer.err
    for file in MICRO.iterdir():
        if file.is_file():
            assert (here / "greek" / file.name).read_bytes() == file.read_bytes()
    again = jobrunner("export", run, "greek")
    assert "0 files of" in again.err
    assert "were there already" in again.err


def test_a_run_of_another_machine_is_exported_from_the_storage(
    jobrunner: Jobrunner, harness: CliHarness, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _with_model(harness)
    place = here / "mounted"
    harness.storage.rename(place)
    monkeypatch.setenv("JOBRUNNER_STATE", str(here / "another"))
    assert "There is no run" in jobrunner("export", run, "greek").err
    answer = jobrunner("export", run[:8], "greek", "--storage", "mounted")
    assert (answer.code, answer.out) == (0, "greek\n"), answer.err
    assert (here / "greek" / "model.safetensors").read_bytes()
    missing = jobrunner("export", "cy-whisper", "greek", "--storage", "mounted")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith(f"error: There is no run cy-whisper in {place}.")


def test_a_run_without_a_model_says_why(
    jobrunner: Jobrunner, harness: CliHarness, here: Path
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    (harness.storage / keys.export_prefix(run) / folders.MANIFEST).unlink()
    answer = jobrunner("export", run, "greek")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"error: {run} has no model in {harness.storage} yet. "
        f"`jobrunner status {run}` shows how far it is; of a run that has ended, "
        f"`jobrunner resume {run}` makes the model again.\n"
    )
    spec = builders.spec(
        task="evaluate",
        model="whisper-tiny",
        storage=str(harness.storage),
        resources__device="cpu",
    )
    measured = harness.runner.submit(spec).run
    harness.runner.wait(measured, timeout=30)
    answer = jobrunner("export", measured, "greek")
    assert (answer.code, answer.out) == (2, "")
    assert "measures whisper-tiny and trains no model." in answer.err
    assert "The model is in" not in jobrunner("status", measured).err
    assert list(here.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(
    jobrunner: Jobrunner, harness: CliHarness, here: Path
) -> None:
    run = _with_model(harness)
    (here / "mine").mkdir()
    (here / "mine" / "config.json").write_text("mine")
    shutil.copy(MICRO / "tokenizer.json", here / "mine")
    answer = jobrunner("export", run, "mine")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: mine has other files of these names: config.json. Name another folder.\n"
    )
    (here / "file").touch()
    assert jobrunner("export", run, "file").code == 2


def test_status_and_follow_say_where_the_model_is(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    run = _with_model(harness)
    place = f"The model is in {harness.storage}/{keys.export_prefix(run)}".rstrip("/")
    assert place in jobrunner("status", run).err
    assert place in jobrunner("status", "--follow", run).err


def test_a_damaged_model_comes_back_as_the_hint_says(
    jobrunner: Jobrunner, harness: CliHarness, here: Path
) -> None:
    run = _with_model(harness)
    weights = harness.storage / keys.export_prefix(run) / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert "nothing to resume" in jobrunner("resume", run, "--dry-run").err
    answer = jobrunner("export", run, "greek")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.endswith(
        "model.safetensors differs from its manifest. "
        f"`jobrunner resume {run}` makes it again from the last checkpoint.\n"
    )
    # It was deleted, so that everybody sees that it is missing.
    assert not weights.exists()
    assert "nothing to resume" not in jobrunner("resume", run, "--dry-run").err
    assert harness.runner.resume(run).outcome == "continued"
    assert harness.runner.wait(run, timeout=30).state == "Succeeded"
