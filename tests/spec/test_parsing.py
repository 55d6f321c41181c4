"""A spec that people gave is taken whole or refused with its first problem in one line."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.errors import SpecError
from jobrunner.spec import parse


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "lang: is missing."),
        ({"lang": "el", "stepz": 5}, "stepz: there is no such key. Did you mean train.steps?"),
        (
            {"lang": "el", "train": {"stesp": 5}},
            "train.stesp: there is no such key. Did you mean train.steps?",
        ),
        (
            {"lang": "el", "train": {"steps": 0}},
            "train.steps: is 0, and so is train.epochs; one of them must end the training.",
        ),
        (
            {"lang": "el", "train": {"steps": "5"}},
            "train.steps: input should be a valid integer, not '5'.",
        ),
        ({"lang": "el", "train": {"dropout": float("nan")}}, "train.dropout: "),
        ({"lang": "klingon"}, "lang: "),
        ({"lang": "el", "evaluate": {"languages": ["el", "klingon"]}}, "evaluate.languages: "),
        (
            {"lang": "el", "evaluate": {"languages": ["el", "el"]}},
            "evaluate: languages el,el names one of them twice.",
        ),
        ({"lang": "el", "model": "whisper-smal"}, "model: 'whisper-smal' is not a preset"),
        ({"lang": "lg", "model": "whisper-tiny"}, "lang: whisper-tiny has no token for Ganda"),
        (
            {"lang": "en", "model": "whisper-tiny.en", "evaluate": {"languages": ["el"]}},
            "evaluate.languages: whisper-tiny.en knows English only. Use whisper-tiny.",
        ),
        ({"lang": "br"}, "data.source: FLEURS has no Breton (br). Use --data folder:PATH."),
        (
            {"lang": "el", "train": {"steps": 5}},
            "train: warmup_steps 500 is more than steps 5.",
        ),
        (
            {"lang": "el", "train": {"validate_every": 251}},
            "train: validate_every 251 is not a multiple of save_every 250.",
        ),
        ({"lang": "el", "storage": "s3://"}, "storage: 's3://' has no bucket"),
        ({"lang": "el", "resources": {"memory": "lots"}}, "resources.memory: 'lots' is no"),
        ({"lang": "el", "cluster": {"namespace": ""}}, "cluster.namespace: "),
        ({"lang": "el", "data": []}, "data: "),
        ({"lang": "el", "model": "a\nb"}, "model: "),
    ],
)
def test_the_first_problem_is_named_by_its_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(values)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(SpecError) as caught:
        parse({"lang": "el", "train": {"steps": "5" * 1000}})
    assert len(str(caught.value)) < 150


def test_names_of_languages_become_codes() -> None:
    spec = parse({"lang": "Greek", "evaluate": {"languages": ["el_gr", "Swahili"]}})
    assert (spec.lang, spec.evaluate.languages) == ("el", ("el", "sw"))
    assert spec.languages == ("el", "sw")
