"""`languages` and `models`: the tables that a name is looked up in."""

from __future__ import annotations

import json

import yaml

from jobrunner.catalog.languages import LANGUAGES
from jobrunner.catalog.models import PRESETS
from tests.harness.commandline import Jobrunner


def test_models_and_languages_are_listed_in_every_form(jobrunner: Jobrunner) -> None:
    assert jobrunner("models", "-o", "name").out.split() == list(PRESETS)
    assert jobrunner("languages", "-o", "name").out.split() == list(LANGUAGES)
    told = json.loads(jobrunner("models", "medium", "-o", "json").out)
    assert told["version"] == 1
    assert [model["name"] for model in told["models"]] == ["whisper-medium", "whisper-medium.en"]
    told = yaml.safe_load(jobrunner("languages", "norwegian", "-o", "yaml").out)
    assert [language["code"] for language in told["languages"]] == ["nn", "no"]
    assert jobrunner("languages", "Deva").out.split("\n")[1].startswith("hi    Hindi")
    nothing = jobrunner("models", "bert")
    assert (nothing.code, nothing.out) == (0, "")
    assert "hub id" in nothing.err
