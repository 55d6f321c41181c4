"""Files, variables and flags that cannot be used: one line that says what and where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobrunner import config
from jobrunner.config import Flag
from jobrunner.config.file import read
from jobrunner.errors import UsageError


def _file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "jobrunner.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stepz = 3", "stepz: there is no such key (F). Did you mean train.steps?"),
        ("steps = 3", "steps: there is no such key (F). Did you mean train.steps?"),
        ("[train]\nstesp = 3", "train.stesp: there is no such key (F). Did you mean train.steps?"),
        ("[trian]\nsteps = 3", "trian: there is no such key (F). Did you mean train?"),
        (
            "[profile.x]\nseed = 1",
            "profile: is not the name of a profile (F). A profile itself is a table "
            "[profiles.NAME].",
        ),
        ("[profiles.x]\nsed = 1", "sed: there is no such key (F, x). Did you mean seed?"),
        ("profiles = 3", "profiles: must be a table of tables, [profiles.NAME] (F)."),
        ("train = 3", "train: must be a table, [train], not 3 (F)."),
        ('backend = "slurm"', "backend: must be one of local, kubernetes, not 'slurm' (F)."),
        ("version = 1", "version: is the version of the format, which cannot be set (F)."),
        ("seed = ", "F: is not TOML: Invalid value"),
        (b"\xff\xfe\x00", "F: is not UTF-8 text."),
        (b"a" * (1 << 21), "F: is larger than 1 MiB, so it cannot be a configuration."),
        ("a = " + "[" * 100_000, "F: is nested too deeply."),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        read(_file(tmp_path, text), "F")
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, problem in (
        (tmp_path, "is a directory"),
        (tmp_path / "missing.toml", "no such file or directory"),
        (tmp_path / ("x" * 300), "file name too long"),
    ):
        with pytest.raises(UsageError, match=problem):
            config.load(config=str(path), environment={})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[train]\nsteps = -1", "train.steps: input should be greater than or equal to 0, not -1"),
        ('[train]\nsteps = "many"', "train.steps: input should be a valid integer, not 'many'"),
        ("[train]\nsteps = true", "train.steps: input should be a valid integer, not True"),
        ("[train]\nlearning_rate = nan", "train.learning_rate: input should be greater than or"),
        ("[train]\nlearning_rate = inf", "train.learning_rate: inf is not a number"),
        ("storage = 3", "storage: input should be a valid string, not 3"),
        ("model = 1979-05-27", "model: input should be a valid string"),
        ("lang = 5", "lang: input should be a valid string, not 5"),
    ],
)
def test_a_wrong_value_names_its_field_and_its_file(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(UsageError) as error:
        config.load(config=str(path), environment={}).check()
    assert str(error.value).startswith(expected)
    assert f"(from {path})." in str(error.value)


def test_a_profile_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = _file(tmp_path, "[profiles.mine]\nseed = 1\n")
    with pytest.raises(UsageError, match=r"'h1000'. There are a100-80gb, .*, mine\."):
        config.load(config=str(path), profile="h1000", environment={})


def test_a_field_that_is_set_by_two_flags_is_refused() -> None:
    flags = [
        Flag(origin="--steps", path="train.steps", text="3"),
        Flag(origin="--set train.steps", path="train.steps", text="4"),
    ]
    with pytest.raises(UsageError, match="given twice, by --steps and by --set"):
        config.load(flags=flags, environment={})


FIELDS = ["train.steps", "lang", "storage", "seed", "model", "data.source", "data.revision"]


@given(text=st.text(max_size=200), path=st.sampled_from(FIELDS))
@example(text="folder:a\nb", path="data.source")
@example(text=f"folder:{'x' * 2000}", path="data.source")
@example(text="~nobody/x", path="data.source")
@example(text="~nobody/x", path="model")
@example(text="a\nb", path="data.revision")
@example(text="9" * 5000, path="train.steps")
@example(text=str(2**63), path="train.steps")
@example(text="~nobody/x", path="storage")
@example(text="\0", path="storage")
@example(text="\ud800", path="lang")
def test_any_text_gives_a_spec_or_a_usage_error(text: str, path: str) -> None:
    flags = [Flag(origin="--set", path=path, text=text)]
    try:
        config.load(flags=flags, backend="local", environment={}).check()
    except UsageError as error:
        assert str(error)  # noqa: PT017


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "jobrunner.toml"
    path.write_bytes(data)
    try:
        read(path, "F")
    except UsageError as error:
        assert str(error)  # noqa: PT017


@pytest.mark.timeout(30)
def test_a_pipe_is_no_configuration_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jobrunner.toml")
    with pytest.raises(UsageError, match=r"^F: is a pipe, not a file\.$"):
        read(tmp_path / "jobrunner.toml", "F")


def test_the_output_of_a_command_can_be_the_configuration(tmp_path: Path) -> None:
    end, other = os.pipe()
    os.write(other, b"seed = 3")
    os.close(other)
    assert read(Path(f"/dev/fd/{end}"), "F").values == {"seed": 3}
    os.close(end)
