"""The file that `init` writes is a file that `load` reads."""

from __future__ import annotations

import re
from pathlib import Path

from jobrunner.config.paths import default, fields

from jobrunner.config.file import read
from jobrunner.config.template import EXAMPLES, template


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
    assert told == {name: EXAMPLES.get(name, default(name)) for name in fields()}
    assert (found.backend, found.profile) == ("kubernetes", "a100-80gb")
    assert found.profiles["mine"]["resources.gpus"] == 4


def test_every_field_is_described() -> None:
    text = template()
    for field in fields().values():
        assert field.description
        assert f"# {field.description}\n" in text
