"""A spec beside its defaults, and beside another one."""

from __future__ import annotations

from typing import Any

from jobrunner import config
from jobrunner.config import compare
from jobrunner.spec.paths import settings
from tests import builders

# As a submit makes them that gives no more than the model.
TRAIN = {"epochs": 8.0, "learning_rate": 1.25e-5, "patience": 3}


def _differing(**train: Any) -> set[str]:
    spec = builders.spec(train={**TRAIN, **train})
    return {each.path for each in compare.fields(spec) if each.differs} - {"lang", "storage"}


def test_fields_that_differ_from_their_defaults_come_first() -> None:
    spec = builders.spec(train={**TRAIN, "dropout": 0.1}, evaluate__languages=["el", "en"])
    found = compare.fields(spec)
    assert {field.path for field in found} == set(settings())
    first = [field for field in found if field.differs]
    assert found[: len(first)] == first
    assert [(field.path, field.value, field.default) for field in first] == [
        ("lang", "el", None),
        ("storage", "s3://bucket/runs", ""),
        ("train.dropout", 0.1, 0.0),
        ("evaluate.languages", ("el", "en"), ()),
    ]


def test_a_default_that_follows_from_another_field_does_not_count_as_given() -> None:
    assert _differing() == set()
    short = {"steps": 20, "epochs": 0.0, "patience": 0, "warmup_steps": 4}
    short |= {"save_every": 20, "validate_every": 20}
    assert _differing(**short) == {"train.steps"}
    assert _differing(**{**short, "warmup_steps": 5}) == {"train.steps", "train.warmup_steps"}
    assert _differing(learning_rate=1e-5) == {"train.learning_rate"}


def test_differences_name_each_field_with_both_values() -> None:
    first = builders.spec(data__source="fleurs", seed=1)
    second = builders.spec(data__source="folder:speech", seed=1, again=2)
    assert [
        (each.path, each.first, each.second) for each in compare.differences(first, second)
    ] == [
        ("again", 0, 2),
        ("data.source", "fleurs", "folder:speech"),
    ]
    assert compare.differences(first, first) == []


def _differing_from(**arguments: object) -> set[str]:
    spec = config.load(
        arguments={"lang": "el", "storage": "s3://speech/runs", **arguments}, backend="kubernetes"
    ).spec()
    return {each.path for each in compare.fields(spec) if each.differs} - {"lang", "storage"}


def test_a_run_of_defaults_as_they_are_loaded_differs_in_nothing() -> None:
    assert _differing_from() == set()


def test_loaded_values_that_follow_from_others_are_defaults() -> None:
    assert _differing_from(model="whisper-medium") == {"model"}
    assert _differing_from(**{"train.steps": 100}) == {"train.steps"}
    assert _differing_from(**{"train.epochs": 3.0}) == {"train.epochs"}
    assert _differing_from(model="owner/name") == {"model"}


def test_what_was_chosen_differs() -> None:
    chosen = {"train.learning_rate": 1e-4, "train.warmup_steps": 7, "seed": 3}
    assert _differing_from(**chosen) == set(chosen)


def test_data_and_model_are_shown_as_people_set_them() -> None:
    spec = builders.spec(data__source="folder:/speech/welsh", data__revision="ab12")
    found = {each.path: each for each in compare.fields(spec)}
    assert (found["data.source"].value, found["data.source"].default) == (
        "folder:/speech/welsh",
        "fleurs",
    )
    assert found["data.revision"].value == "ab12"
