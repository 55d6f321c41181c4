"""Everything has its place in storage, where runs must be found for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.spec import keys
from jobrunner.storage.base import check_key
from tests import builders

RUN = "el-whisper-small-1f6e09ab"
# These never change: the objects of every run of every version have these keys.
LAYOUT = {
    keys.run_file(RUN): "run.json",
    keys.history_file(RUN): "history.jsonl",
    keys.export_prefix(RUN): "export/",
    keys.checkpoints_prefix(RUN): "checkpoints/",
    keys.checkpoint_prefix(RUN, 1000): "checkpoints/step-00001000/",
    keys.claims_prefix(RUN): "attempts/",
    keys.claim_file(RUN, 3): "attempts/00000003",
    keys.evaluations_prefix(RUN): "evaluations/",
    keys.result_file(RUN, "base", "fleurs", "el"): "evaluations/base/fleurs/el/result.json",
    keys.predictions_file(
        RUN, "tuned", "fleurs", "el"
    ): "evaluations/tuned/fleurs/el/predictions.parquet",
    keys.logs_prefix(RUN): "logs/",
    keys.logs_prefix(RUN, "train"): "logs/train/",
    keys.log_file(RUN, "train", "abc"): "logs/train/abc.log",
    keys.end_file(RUN, "train", "abc"): "logs/train/abc.json",
}


@pytest.mark.parametrize("key", LAYOUT)
def test_everything_of_a_run_is_below_its_prefix(key: str) -> None:
    assert key == keys.run_prefix(RUN) + LAYOUT[key]
    assert keys.run_prefix(RUN) == f"runs/{RUN}/"
    assert check_key(key.rstrip("/"))


def test_base_models_and_speech_are_shared_by_runs_that_want_the_same() -> None:
    spec = builders.spec(evaluate__languages=["el", "en"])
    other = builders.spec(seed=3, train__steps=10, train__warmup_steps=1, lang="en")
    assert keys.model_prefix(spec) == keys.model_prefix(other)
    assert keys.model_prefix(spec).startswith("models/")
    assert keys.data_prefix(spec, "en") == keys.data_prefix(other, "en")
    assert keys.data_prefix(spec, "en") != keys.data_prefix(spec, "el")
    assert keys.data_prefix(spec, "en").startswith("data/")
    assert keys.model_prefix(spec) != keys.model_prefix(builders.spec(model="whisper-tiny"))
    assert keys.model_prefix(spec) != keys.model_prefix(builders.spec(model_revision="v1"))
    cut = builders.spec(data__min_seconds=1.0)
    assert keys.data_prefix(spec, "el") != keys.data_prefix(cut, "el")


def test_a_folder_is_found_wherever_it_was_read_from() -> None:
    here, there = (
        builders.spec(
            model=f"{place}/model",
            model_revision="abc",
            data={"source": f"folder:{place}/speech", "revision": "def"},
        )
        for place in ("/home/anna", "./below")
    )
    assert keys.model_prefix(here) == keys.model_prefix(there)
    assert keys.data_prefix(here, "el") == keys.data_prefix(there, "el")


@given(st.integers(0, 10**9))
def test_the_step_of_a_checkpoint_is_read_from_its_keys(step: int) -> None:
    prefix = keys.checkpoint_prefix(RUN, step)
    assert keys.checkpoint_step(RUN, f"{prefix}{keys.COMMIT}") == step
    assert keys.checkpoint_step(RUN, f"{prefix}attempt/{keys.WEIGHTS}") == step


@pytest.mark.parametrize("key", [keys.run_file(RUN), f"{keys.checkpoints_prefix(RUN)}notes", ""])
def test_a_key_of_something_else_belongs_to_no_checkpoint(key: str) -> None:
    assert keys.checkpoint_step(RUN, key) is None


@given(st.sampled_from(sorted(LAYOUT)))
def test_run_and_part_are_read_from_a_key(key: str) -> None:
    assert keys.part_of_run(f"{key}x") == (RUN, f"{LAYOUT[key]}x".partition("/")[0])


@pytest.mark.parametrize("key", ["runs/", "runs/notes.txt", f"data/{RUN}/train/a", "other/a/b", ""])
def test_a_key_outside_every_run_belongs_to_none(key: str) -> None:
    assert keys.part_of_run(key) is None


def test_the_shared_folder_of_a_key_is_that_of_its_model_or_speech() -> None:
    spec = builders.spec()
    for prefix in (keys.model_prefix(spec), keys.data_prefix(spec, "el")):
        assert keys.shared_folder(f"{prefix}train/a") == prefix
    for key in ("", "data/", "data/notes.txt", f"{keys.run_prefix(RUN)}run.json", "a/b/c"):
        assert keys.shared_folder(key) == ""


def test_checkpoints_are_listed_in_the_order_of_their_steps() -> None:
    steps = [5, 40, 300, 2000]
    prefixes = [keys.checkpoint_prefix(RUN, step) for step in steps]
    assert sorted(prefixes) == prefixes


def test_an_attempt_is_read_from_the_key_of_its_log() -> None:
    assert keys.attempt_of_log(RUN, keys.log_file(RUN, "evaluate-el", "a-b")) == (
        "evaluate-el",
        "a-b",
    )
    assert keys.attempt_of_log(RUN, keys.end_file(RUN, "train", "a")) is None


def test_results_are_known_from_what_is_beside_them() -> None:
    assert keys.is_result(keys.result_file(RUN, "base", "A Test Set!", "el"))
    assert not keys.is_result(keys.predictions_file(RUN, "base", "fleurs", "el"))
    assert not keys.is_result(f"{keys.run_prefix(RUN)}result.json")
