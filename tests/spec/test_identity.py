"""The id of a run follows from what determines its result, and stays what it was for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from jobrunner.catalog import installed
from jobrunner.spec import DataSpec, RunSpec, TrainSpec, identity, keys
from jobrunner.spec.record import new_record, read_record
from jobrunner.spec.types import Ratio
from tests import builders
from tests.harness.paths import GOLDEN as GOLDEN_FILE

HERE = Path(__file__).parent
# Recorded run.json texts of both versions with the ids that they had when they were submitted;
# those of version 1 were computed by the code of that time. THIS TABLE NEVER CHANGES: a run that
# changes its id is another run, and its checkpoints, results and prepared data are lost to people.
# More cases may be added.
GOLDEN: list[dict[str, Any]] = [
    each for group in json.loads(GOLDEN_FILE.read_text()).values() for each in group
]
# The defaults of version 2. Records leave out what is at its default, so that another default would
# change what runs are. A DEFAULT THAT CHANGES NEEDS ANOTHER VERSION; a field that is added is added
# here. `cluster.image`, the image of the client's own version, is not among them: records name it.
DEFAULTS: dict[str, Any] = json.loads((HERE / "defaults_2.json").read_text())


def golden_id(case: dict[str, Any]) -> str:
    return f"{case['run']}-{case['name']}".replace(" ", "-")


@pytest.mark.parametrize("case", GOLDEN, ids=golden_id)
def test_a_recorded_run_keeps_its_id(case: dict[str, Any]) -> None:
    found = read_record(case["text"])
    assert (found.run, found.digest) == (case["run"], case["digest"])
    assert found.unknown == ()


@pytest.mark.parametrize("case", GOLDEN, ids=golden_id)
def test_the_spec_of_a_recorded_run_gives_its_id_again(case: dict[str, Any]) -> None:
    again = new_record(read_record(case["text"]).spec)
    assert (again.run, again.digest) == (case["run"], case["digest"])


@pytest.mark.parametrize("case", GOLDEN, ids=golden_id)
def test_what_a_recorded_run_prepared_is_found_again(case: dict[str, Any]) -> None:
    spec = read_record(case["text"]).spec
    assert keys.model_prefix(spec) == case["model"]
    assert {code: keys.data_prefix(spec, code) for code in spec.languages} == case["data"]
    assert spec.data.source.name == case["test_set"]


def test_both_versions_are_in_the_table() -> None:
    versions = [read_record(case["text"]).spec.version for case in GOLDEN]
    assert (versions.count(1), versions.count(2)) == (6, 20)


def test_the_defaults_of_version_2_are_those_that_were_recorded() -> None:
    found = RunSpec(lang="el").model_dump(mode="json", exclude={"lang": True})
    image = found["cluster"].pop("image")
    assert found == DEFAULTS
    assert image.endswith(f":{installed.__version__}")


class LaterTrain(TrainSpec):
    """Training with an option that a later version adds."""

    label_smoothing: Ratio = Field(0.0, description="Share of the other labels.")


class LaterData(DataSpec):
    """Data with an option that a later version adds."""

    normalise: bool = Field(False, description="Sets the loudness.")


class LaterSpec(RunSpec):
    """A spec with options that a later version adds."""

    data: DataSpec = LaterData()
    train: TrainSpec = LaterTrain()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "values", [{}, {"seed": 3, "train": {"dropout": 0.1}, "data": {"min_seconds": 0.5}}], ids=str
)
def test_a_field_with_a_default_that_is_added_later_changes_no_digest(
    version: int, values: dict[str, Any]
) -> None:
    given = {"version": version, "lang": "el", **values}
    spec = RunSpec.model_validate(given)
    train = LaterTrain.model_validate(values.get("train", {}))
    data = LaterData.model_validate(values.get("data", {}))
    later = LaterSpec.model_validate({**given, "train": train, "data": data})
    assert isinstance(later.train, LaterTrain)
    assert identity.digest(later) == identity.digest(spec)
    assert identity.of_data(later) == identity.of_data(spec)


def test_a_field_that_is_added_later_and_set_makes_another_run() -> None:
    plain = LaterSpec(lang="el")
    smoothed = LaterSpec(lang="el", train=LaterTrain(label_smoothing=0.1))
    louder = LaterSpec(lang="el", data=LaterData(normalise=True))
    assert len({identity.digest(each) for each in (plain, smoothed, louder)}) == 3


# Every field counts, but those that say where or how a run runs and what is measured later.
CHANGES: list[dict[str, Any]] = [
    {"lang": "sw"},
    {"model": "whisper-tiny"},
    {"model_revision": "v1"},
    {"task": "evaluate"},
    {"seed": 1},
    {"again": 1},
    *(
        {"data": {name: value}}
        for name, value in {
            "source": "fleurs:/mirror",
            "revision": "abc",
            "audio_column": "a",
            "text_column": "a",
            "speaker_column": "a",
            "train_split": "a",
            "validation_split": "a",
            "test_split": "a",
            "holdout": 0.5,
            "min_seconds": 0.5,
        }.items()
    ),
    *(
        {"train": {name: value}}
        for name, value in {
            "steps": 3000,
            "learning_rate": 1e-3,
            "warmup_steps": 1,
            "batch_seconds": 1.0,
            "pack_probability": 0.1,
            "pack": "speaker",
            "timestamps": 0.5,
            "weight_decay": 0.1,
            "max_grad_norm": 0.1,
            "dropout": 0.1,
            "spec_augment": True,
            "freeze_encoder": True,
            "save_every": 125,
            "validate_every": 500,
            "validation_utterances": 1,
            "patience": 1,
        }.items()
    ),
]

# Fields that version 1 did not have.
LATER_CHANGES: list[dict[str, Any]] = [
    {"train": {"epochs": 3.0}},
    {"train": {"on_unhealthy": "continue"}},
    {"train": {"freeze_layers": 1}},
    {"train": {"freeze": ("*.bias",)}},
    {"train": {"lora_rank": 8}},
    {"train": {"lora_alpha": 8.0}},
    {"train": {"lora_targets": ("q_proj",)}},
    {"train": {"optimiser": "adamw8bit"}},
]


# Options of training that change no result.
NO_CHANGES: list[dict[str, Any]] = [{"train": {"save_minutes": 1.0}}]


@pytest.mark.parametrize("change", NO_CHANGES, ids=str)
def test_an_option_that_changes_no_result_changes_no_digest(change: dict[str, Any]) -> None:
    assert identity.digest(builders.spec(**change)) == identity.digest(builders.spec())


@pytest.mark.parametrize(("version", "later"), [(1, []), (2, LATER_CHANGES)])
def test_whatever_changes_the_result_changes_the_digest(
    version: int, later: list[dict[str, Any]]
) -> None:
    changes = [{}, *CHANGES, *later]
    digests = {identity.digest(builders.spec(version=version, **change)) for change in changes}
    assert len(digests) == len(changes)
    every = [*CHANGES, *LATER_CHANGES, *NO_CHANGES]
    set_here = {f"data.{name}" for change in every for name in change.get("data", {})}
    set_here |= {f"train.{name}" for change in every for name in change.get("train", {})}
    assert {f"train.{name}" for name in TrainSpec.model_fields} <= set_here
    known = {f"data.{name}" for name in DataSpec.model_fields} - {"data.sources"}
    assert known <= set_here


def test_every_name_of_a_preset_is_the_same_run_but_in_version_1() -> None:
    for name in ("openai/whisper-large-v3-turbo", "OpenAI/Whisper-Large-v3-Turbo", "Whisper-turbo"):
        spec = builders.spec(model=name)
        assert spec.model == "whisper-turbo"
        assert builders.run_id(spec) == builders.run_id(builders.spec(model="whisper-turbo"))
        assert keys.model_prefix(spec) == keys.model_prefix(builders.spec(model="whisper-turbo"))
    first = {"lang": "el", "model": "openai/whisper-tiny", "storage": "s3://bucket/runs"}
    recorded = read_record(json.dumps(first))
    assert recorded.run.startswith("el-whisper-tiny-")
    assert recorded.spec.model == "openai/whisper-tiny"
    named = read_record(json.dumps({**first, "model": "whisper-tiny"}))
    assert recorded.run != named.run


def test_the_versions_give_ids_of_their_own() -> None:
    first, second = (identity.digest(builders.spec(version=version)) for version in (1, 2))
    assert first != second


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "elsewhere",
    [
        {"storage": "/data/runs"},
        {"keep_checkpoints": "none"},
        {"evaluate": {"languages": ["el", "sw"], "base": False, "batch_size": 1}},
        {"resources": {"device": "cpu", "gpus": 0, "precision": "fp32"}},
        {"cluster": {"namespace": "team", "image": "other:1", "attempts": 1}},
    ],
    ids=str,
)
def test_where_a_run_runs_and_what_is_measured_of_it_change_nothing(
    version: int, elsewhere: dict[str, Any]
) -> None:
    spec = builders.spec(version=version)
    assert identity.digest(builders.spec(version=version, **elsewhere)) == identity.digest(spec)


def test_options_of_training_do_not_count_where_nothing_is_trained() -> None:
    measured = builders.spec(task="evaluate")
    trained = builders.spec(task="evaluate", train={"steps": 10, "warmup_steps": 1})
    assert identity.digest(measured) == identity.digest(trained)


def test_a_folder_counts_by_its_fingerprint_alone() -> None:
    specs = [
        builders.spec(
            model=f"{place}/m",
            model_revision="abc",
            data={"source": f"folder:{place}/s", "revision": revision},
        )
        for place, revision in (("/a", "def"), ("/b", "def"), ("/a", "other"))
    ]
    first, moved, changed = (identity.digest(spec) for spec in specs)
    assert first == moved != changed
