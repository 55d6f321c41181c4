"""`completion`: the script for the shell, and what the shell completes with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobrunner.cli.group import cli
from tests.harness.commandline import Jobrunner


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_reads(jobrunner: Jobrunner, shell: str) -> None:
    script = jobrunner("completion", shell).out
    assert "_JOBRUNNER_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    if shell == "fish":
        # `plain,el,en` is the kind of a value and the value `el,en`.
        assert 'string split --max 1 "," $completion' in script
        assert script.count("string split") == script.count("string split --max 1") == 1


def _completed(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    from click.shell_completion import BashComplete

    words = line.split(" ")
    complete = BashComplete(cli, {}, "jobrunner", "_JOBRUNNER_COMPLETE")
    return [item.value for item in complete.get_completions(words[:-1], words[-1])]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sub", ["submit"]),
        ("submit --lang e", ["el", "en", "es", "et", "eu"]),
        ("submit --eval-lang el,h", ["el,ha", "el,haw", "el,he"]),
        ("submit --model whisper-t", ["whisper-tiny", "whisper-tiny.en", "whisper-turbo"]),
        ("submit --set train.st", ["train.steps="]),
        ("submit --profile a100", ["a100-80gb", "a100-40gb"]),
        ("status @", ["@latest"]),
        ("completion f", ["fish"]),
        ("list --status failed,s", ["failed,stopped", "failed,starting", "failed,succeeded"]),
        ("list --lang el,h", ["el,ha", "el,haw", "el,he"]),
        ("list --since 2", ["2d"]),
        ("list --sort l", ["lang", "loss"]),
    ],
)
def test_the_shell_completes(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]
) -> None:
    assert _completed(monkeypatch, line)[: len(expected)] == expected
