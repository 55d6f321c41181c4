"""`evaluate`: more languages of a run, or a model as it is."""

from __future__ import annotations

import pytest

from tests.harness.commandline import CliHarness, Jobrunner


def test_a_model_without_training_is_only_measured(jobrunner: Jobrunner) -> None:
    answer = jobrunner(
        *("evaluate", "--model", "whisper-tiny", "--lang", "el,en", "--dry-run"),
        *("--local", "--device", "cpu"),
    )
    assert answer.code == 0, answer.err
    assert "stages    prepare → evaluate el, en\n" in answer.out


@pytest.mark.parametrize("model", ["@latest", "id"])
def test_more_languages_can_be_measured_of_a_run(
    jobrunner: Jobrunner, harness: CliHarness, model: str
) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    named = run if model == "id" else model
    answer = jobrunner("evaluate", "--model", named, "--lang", "en,hindi", "--dry-run")
    assert answer.code == 0, answer.err
    assert f"run       {run}\n" in answer.out
    assert "stages    prepare → train → evaluate el, en, hi\n" in answer.out
    assert "training  done before\n" in answer.out
    assert "cost      that of the new evaluations\n" in answer.out
    wrong = jobrunner("evaluate", "--model", named, "--lang", "en", "--device", "cpu")
    assert (wrong.code, wrong.err) == (
        2,
        "error: --device: a run keeps its own settings. Leave it out.\n",
    )
    unknown = jobrunner("evaluate", "--model", named, "--lang", "xx")
    assert unknown.code == 2
    assert unknown.err.startswith("error: evaluate.languages: no language is called 'xx'.")


def test_a_typing_error_in_a_run_names_the_run(jobrunner: Jobrunner, harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    typed = run[:-1] + ("1" if run[-1] == "0" else "0")
    answer = jobrunner("evaluate", "--model", typed, "--lang", "en", "--dry-run")
    assert (answer.code, answer.out) == (2, "")
    assert f"and there is no such run. The nearest run is {run}." in answer.err
