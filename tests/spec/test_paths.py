"""Fields are set by dotted paths, and any other key is refused with the nearest one."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.spec import RunSpec, parse
from jobrunner.spec.paths import as_set, nested, sections, settings, unknown

REQUIRED = {"lang"}


def test_the_defaults_of_all_settings_are_the_spec_that_nobody_touched() -> None:
    values = {path: each.default for path, each in settings().items() if not each.required}
    assert parse(nested({**values, "lang": "el"})) == RunSpec(lang="el")
    assert {path for path, each in settings().items() if each.required} == REQUIRED
    assert all(settings()[path].default is None for path in REQUIRED)


def test_people_set_a_source_and_no_list_of_them_and_no_version() -> None:
    assert {"data.source", "data.revision"} <= settings().keys()
    assert not {"data.sources", "version"} & settings().keys()
    assert "`fleurs`" in settings()["data.source"].description


def test_every_part_of_the_spec_is_a_table() -> None:
    assert sections() == {"data", "train", "evaluate", "resources", "cluster"}


def test_paths_become_tables_within_tables() -> None:
    given: dict[str, Any] = {"lang": "el", "train.steps": 5, "train.dropout": 0.1}
    assert nested(given) == {"lang": "el", "train": {"steps": 5, "dropout": 0.1}}


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("train.steps", "train.steps"),
        ("data.sources", "data.source"),
        ("data.sources.kind", "data.source"),
        ("data.sources.revision", "data.revision"),
        ("data.text_column", "data.text_column"),
        ("spec", "spec"),
    ],
)
def test_each_path_of_the_spec_has_the_setting_that_it_comes_from(path: str, setting: str) -> None:
    assert as_set(path) == setting


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("steps", "Did you mean train.steps?"),
        ("train.stpes", "Did you mean train.steps?"),
        ("trian.steps", "Did you mean train.steps?"),
        ("stesp", "Did you mean train.steps?"),
        ("trian", "Did you mean train?"),
        ("profil", "Did you mean profile?"),
        ("data.sorce", "Did you mean data.source?"),
        ("xyz", "`jobrunner config show` lists all."),
    ],
)
def test_any_other_key_is_refused_with_the_nearest_one(key: str, hint: str) -> None:
    error = unknown(key, "./jobrunner.toml", others=("backend", "profile"))
    assert error.message == f"{key}: there is no such key (./jobrunner.toml)."
    assert error.hint == hint


def test_a_very_long_key_is_cut() -> None:
    assert unknown("x" * 1000).message == f"{'x' * 57}...: there is no such key."


def test_a_group_and_the_version_are_not_called_unknown() -> None:
    group = unknown("train", "--set train")
    assert str(group) == (
        "train: is a group of fields (--set train), such as train.steps. "
        "`jobrunner config show` lists them."
    )
    version = unknown("version", "--set version")
    assert str(version) == (
        "version: is the version of the format, which cannot be set (--set version). Leave it out."
    )
