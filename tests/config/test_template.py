"""The file that `init` writes is a file that `load` reads."""

from __future__ import annotations

import re
from pathlib import Path

from jobrunner.config.file import read
from jobrunner.config.template import EXAMPLES, template
from jobrunner.spec.paths import settings


def test_the_template_says_nothing_until_it_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "jobrunner.toml"
    path.write_text(template())
    found = read(path, "F")
    assert (found.values, found.profiles, found.backend, found.profile) == ({}, {}, None, None)


def test_the_template_with_each_comment_taken_off_gives_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "jobrunner.toml"
    path.write_text(re.sub(r"(?m)^# (?=\w+ = |\[)", "", template()))
    found = read(path, "F")
    told = {name: tuple(v) if isinstance(v, list) else v for name, v in found.values.items()}
    wanted = {path: EXAMPLES.get(path, each.default) for path, each in settings().items()}
    assert told == wanted
    assert (found.backend, found.profile) == ("kubernetes", "a100-80gb")
    assert found.profiles["mine"]["resources.gpus"] == 4


def test_every_field_is_described() -> None:
    text = template()
    for setting in settings().values():
        assert setting.description
        assert f"# {setting.description}\n" in text
