"""Presets, families and languages of models; anything else is refused with what is near."""

from __future__ import annotations

import importlib
import json

import pytest

from jobrunner.catalog import languages, models
from jobrunner.catalog.models import FAMILIES, PRESETS
from jobrunner.errors import SpecError


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_all_that_a_plan_needs(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert models.check_model(preset.repo) == preset.repo
    assert preset.parameters > 10**7
    assert 0 < preset.learning_rate < 1e-3
    assert preset.family in FAMILIES
    assert preset.english_only == name.endswith(".en")


def test_english_sisters_are_the_same_size_under_another_name() -> None:
    english = [preset for preset in PRESETS.values() if preset.english_only]
    assert [preset.name for preset in english] == [
        f"whisper-{size}.en" for size in ("tiny", "base", "small", "medium")
    ]
    for preset in english:
        sister = PRESETS[preset.name.removesuffix(".en")]
        assert preset.repo == f"{sister.repo}.en"
        assert preset.parameters == sister.parameters
        assert preset.learning_rate == sister.learning_rate


@pytest.mark.parametrize("name", FAMILIES)
def test_the_core_has_a_module_for_each_family(name: str) -> None:
    assert callable(importlib.import_module(FAMILIES[name].module).load)
    config = json.dumps({"model_type": name}).encode()
    assert models.family_in(config, shown="m") is FAMILIES[name]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "m/config.json cannot be read as JSON."),
        (b"{", "m/config.json cannot be read as JSON."),
        (b"[]", "m/config.json cannot be read as JSON."),
        (b"\xff", "m/config.json cannot be read as JSON."),
        (b"{}", "m is of type None, not whisper."),
        (b'{"model_type": "bert"}', "m is of type 'bert', not whisper."),
        (b'{"model_type": ["whisper"]}', "m is of type ['whisper'], not whisper."),
    ],
)
def test_a_config_of_no_family_is_refused_with_what_would_do(config: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        models.family_in(config, shown="m")
    assert caught.value.message == f"model: {message}"
    assert caught.value.hint == models.wanted_form()


@pytest.mark.parametrize("model", ["whisper-tiny", "owner/name", "./m", "/m", "~/m", "a/b/c"])
def test_a_model_is_a_preset_a_hub_id_or_a_folder(model: str) -> None:
    assert models.check_model(model) == model


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("wisper-small", "Nearest: whisper-small"),
        ("xyz", "See `jobrunner models`."),
        ("", "See `jobrunner models`."),
        ("owner/na me", "See `jobrunner models`."),
        ("owner/..", "See `jobrunner models`."),
    ],
)
def test_any_other_text_is_refused_with_the_nearest_presets(model: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        models.check_model(model)
    assert caught.value.message == f"model: {model!r} is not a preset, hub id or folder."
    assert caught.value.hint.startswith(hint)


def test_every_preset_knows_the_languages_of_whisper_and_no_others() -> None:
    for name, preset in PRESETS.items():
        for code, language in languages.LANGUAGES.items():
            known = code == "en" if preset.english_only else language.whisper
            known = known and (code != "yue" or preset.cantonese)
            if known:
                models.check_language(name, code, field="lang")
                continue
            with pytest.raises(SpecError) as caught:
                models.check_language(name, code, field="lang")
            assert caught.value.field == "lang"
            assert caught.value.hint


def test_cantonese_is_known_since_large_v3() -> None:
    assert {name for name, preset in PRESETS.items() if preset.cantonese} == {
        "whisper-large-v3",
        "whisper-turbo",
    }
    with pytest.raises(SpecError, match=r"^lang: whisper-tiny has no token .* whisper-large-v3 or"):
        models.check_language("whisper-tiny", "yue", field="lang")
