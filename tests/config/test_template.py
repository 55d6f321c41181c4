"""The file that `init` writes is a file that `load` reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobrunner import config
from jobrunner.config.file import read
from jobrunner.config.template import EXAMPLES, template
from jobrunner.spec import RunSpec
from jobrunner.spec.paths import settings


def test_the_template_says_nothing_until_it_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "jobrunner.toml"
    path.write_text(template())
    found = read(path, "F")
    assert (found.values, found.profiles, found.backend, found.profile) == ({}, {}, None, None)


def test_the_template_with_each_comment_taken_off_gives_all_defaults(
    here: Path, tmp_path: Path
) -> None:
    path = tmp_path / "jobrunner.toml"
    path.write_text(re.sub(r"(?m)^# (?=\w+ = |\[)", "", template()))
    found = read(path, "F")
    told = {name: tuple(v) if isinstance(v, list) else v for name, v in found.values.items()}
    defaults = config.load(environment={}).values
    wanted = {path: EXAMPLES.get(path, defaults[path].value) for path in settings()}
    assert told == wanted
    assert (found.backend, found.profile) == ("kubernetes", "")
    assert found.profiles["mine"]["resources.gpus"] == 4


@pytest.mark.parametrize("backend", ["kubernetes", "local"])
def test_the_template_with_each_comment_taken_off_is_the_default_run(
    here: Path, backend: str
) -> None:
    def run() -> RunSpec:
        flags = [config.Flag(origin="--lang", path="lang", text="el")]
        return config.load(flags=flags, backend=backend, environment={}).spec()

    before = run()
    path = here / "jobrunner.toml"
    path.write_text(re.sub(r"(?m)^# (?=\w+ = |\[)", "", template()))
    assert run() == before


def test_every_field_is_described() -> None:
    text = template()
    for setting in settings().values():
        assert setting.description
        assert f"# {setting.description}\n" in text
