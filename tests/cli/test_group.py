"""Every command has help; and how the command line ends: codes, interrupts, pipes, defects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from jobrunner import cli, errors
from jobrunner.cli.group import SECTIONS, LazyGroup
from jobrunner.cli.group import cli as commands
from tests.harness.commandline import Jobrunner
from tests.harness.modelfolders import write_model_folder


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def invoke(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(LazyGroup, "invoke", invoke)


def _all(kind: type[errors.JobrunnerError]) -> list[type[errors.JobrunnerError]]:
    """The kinds that errors.py draws; a backend's own are made with more than a line."""
    drawn = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return [kind, *(inner for each in drawn for inner in _all(each))]


@pytest.mark.parametrize("kind", _all(errors.JobrunnerError), ids=lambda kind: kind.__name__)
def test_every_error_becomes_one_line_and_a_code_of_the_list(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch, kind: type[errors.JobrunnerError]
) -> None:
    arguments = {
        errors.SpecError: ("x", "is bad."),
        errors.UnknownRun: ("el-nothing-0", "on this machine"),
        errors.UnreadableRun: ("Its record is damaged.",),
    }
    made = kind(*arguments[kind]) if kind in arguments else kind("It is bad.", hint="Mend it.")
    _raising(monkeypatch, made)
    answer = jobrunner("list")
    assert answer.code in {1, 2, 3, 4}
    assert answer.err == f"error: {made}\n"


def test_following_that_was_left_ends_with_130(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raising(monkeypatch, errors.Detached("It continues."))
    assert jobrunner("list").code == 130
    _raising(monkeypatch, KeyboardInterrupt())
    assert jobrunner("list").code == 130


def test_a_defect_is_one_line_and_its_traceback_can_be_had(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    _raising(monkeypatch, ZeroDivisionError("by zero\n"))
    answer = jobrunner("list")
    assert answer.code == 1
    assert answer.err.startswith("error: ZeroDivisionError: by zero\\n. This is a bug in jobrunner")
    assert answer.err.count("\n") == 1
    monkeypatch.setenv("JOBRUNNER_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.run(["list"])


@pytest.mark.parametrize("typed", [[], ["config"]])
def test_a_group_alone_shows_its_help(jobrunner: Jobrunner, typed: list[str]) -> None:
    answer = jobrunner(*typed)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: jobrunner")
    assert answer.err == jobrunner(*typed, "--help").out


@pytest.mark.parametrize("command", ["languages", "config show"])
def test_a_reader_that_leaves_early_causes_no_noise(here: Path, command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "jobrunner", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_terminal_that_knows_few_letters_is_served(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "jobrunner", "submit", "--lang", "el", "--dry-run"),
            *("--storage", "s3://speech/runs"),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"prepare \\u2192 train" in done.stdout


COMMANDS = [name for section in SECTIONS.values() for name in section]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(jobrunner: Jobrunner, name: str) -> None:
    words = [name, "show"] if name == "config" else [name]
    answer = jobrunner(*words, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert re.search(rf"(?m)^ +(eval \"\$\()?jobrunner {' '.join(words)}", answer.out)
    found = commands.get_command(None, name)  # type: ignore[arg-type]
    assert found is not None
    assert found.help is not None
    summary = next(section[name] for section in SECTIONS.values() if name in section)
    assert found.help.splitlines()[0] == summary


def _shell(line: str, **others: Any) -> subprocess.CompletedProcess[str]:
    """Runs a line of a shell in which `$J` is the command."""
    program = f"{sys.executable} -m jobrunner"
    return subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "J": program},
        capture_output=True,
        text=True,
        **others,
    )


@pytest.mark.parametrize("command", ["languages", "config show", "render --lang el", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_stdout_is_one_line(here: Path, command: str, unbuffered: str) -> None:
    storage = " --storage s3://speech/runs" if "render" in command else ""
    done = _shell(f"PYTHONUNBUFFERED={unbuffered} $J {command}{storage} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: Stdout cannot be written: No space left on device.\n"


def test_a_closed_stdout_is_one_line_and_nothing_starts(here: Path, tmp_path: Path) -> None:
    for command in ("list", "submit --local --device cpu --lang el"):
        done = _shell(f"$J {command} >&-")
        assert done.returncode == 1
        assert done.stderr == "error: Stdout is closed, so nothing can be printed. Redirect it.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_closed_stderr_is_no_reason_to_fail(here: Path) -> None:
    done = _shell("$J languages greek 2>&-")
    assert (done.returncode, done.stdout.split()[6]) == (0, "el")


def test_a_run_whose_id_cannot_be_printed_is_named_in_the_error(here: Path, tmp_path: Path) -> None:
    write_model_folder(here / "model")
    (here / "el").mkdir()
    (here / "el/metadata.csv").write_text(
        "file_name,sentence,split\n"
        + "".join(f"{n}.wav,καλημέρα {n},{s}\n" for n, s in enumerate(["train", "test"] * 3))
    )
    for number in range(6):
        (here / f"el/{number}.wav").write_bytes(b"RIFF, but no audio %d" % number + bytes(40))
    options = "--local --device cpu --lang el --model ./model --data folder:."
    try:
        done = _shell(f"$J submit {options} > /dev/full")
        *_, last = done.stderr.splitlines()
        assert done.returncode == 1
        told = re.match(
            r"error: Stdout cannot be written: No space .* The run is (\S+)\. `job", last
        )
        assert told, done.stderr
        assert _shell(f"$J status -o name {told[1]}").stdout == f"{told[1]}\n"
    finally:
        _shell("$J cancel @latest")


def test_a_working_folder_that_was_removed_is_one_line(here: Path) -> None:
    done = _shell("mkdir gone; cd gone; rmdir ../gone; $J submit --lang el --local --dry-run")
    assert done.returncode == 2
    assert done.stderr == "error: The working folder was removed. Change to one that exists.\n"
