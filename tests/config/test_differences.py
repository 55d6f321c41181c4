"""What a run sets otherwise than its defaults is found, derived defaults included."""

from __future__ import annotations

from jobrunner import config
from jobrunner.config.differences import settings_of
from tests import builders


def _differing(**arguments: object) -> set[str]:
    spec = config.load(
        arguments={"lang": "el", "storage": "s3://speech/runs", **arguments}, backend="kubernetes"
    ).spec()
    return {each.path for each in settings_of(spec) if each.differs} - {"lang", "storage"}


def test_a_run_of_defaults_differs_in_nothing() -> None:
    assert _differing() == set()


def test_values_that_follow_from_others_are_defaults() -> None:
    assert _differing(model="whisper-medium") == {"model"}
    assert _differing(**{"train.steps": 100}) == {"train.steps"}


def test_what_was_chosen_differs() -> None:
    chosen = {"train.learning_rate": 1e-4, "train.warmup_steps": 7, "seed": 3}
    assert _differing(**chosen) == set(chosen)


def test_data_and_model_are_shown_as_people_set_them() -> None:
    spec = builders.spec(data__source="folder:/speech/welsh", data__revision="ab12")
    found = {each.path: each for each in settings_of(spec)}
    assert (found["data.source"].value, found["data.source"].default) == (
        "folder:/speech/welsh",
        "fleurs",
    )
    assert found["data.revision"].value == "ab12"
