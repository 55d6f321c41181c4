"""Which layer wins, and what follows from what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner import config
from jobrunner.config import Configuration, Flag
from jobrunner.config.derived import derived
from jobrunner.errors import SpecError, UsageError

PROJECT = """
model = "whisper-medium"
seed = 3
[train]
steps = 3000
dropout = 0.3
[profiles.mine.train]
dropout = 0.4
[profiles.a100-80gb.resources]
gpus = 4
"""


def _flag(path: str, text: str) -> Flag:
    return Flag(origin=f"--{path}", path=path, text=text)


def _user_file(here: Path, text: str) -> Path:
    path = here.parent / "home/.config/jobrunner/jobrunner.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def _told(configuration: Configuration, path: str) -> tuple[object, str]:
    value = configuration.values[path]
    return value.value, value.origin


def test_each_layer_wins_over_the_ones_below_it(here: Path) -> None:
    user = _user_file(here, 'seed = 2\nstorage = "s3://users/runs"\n[train]\ndropout = 0.2\n')
    (here / "jobrunner.toml").write_text(PROJECT)
    told = config.load(
        flags=[_flag("lang", "el")],
        profile="mine",
        environment={"JOBRUNNER_TRAIN__STEPS": "4000", "JOBRUNNER_LANG": "sw"},
    )
    assert _told(told, "lang") == ("el", "--lang")
    assert _told(told, "train.steps") == (4000, "JOBRUNNER_TRAIN__STEPS")
    assert _told(told, "train.dropout") == (0.4, "./jobrunner.toml, profile mine")
    assert _told(told, "seed") == (3, "./jobrunner.toml")
    assert _told(told, "storage") == ("s3://users/runs", str(user))
    assert _told(told, "train.learning_rate") == (6.25e-6, "preset of whisper-medium")
    assert _told(told, "train.warmup_steps") == (500, "follows from train.steps")
    assert _told(told, "evaluate.base") == (True, "default")
    assert told.spec().train.steps == 4000


def test_adapters_learn_at_ten_times_the_models_rate(here: Path) -> None:
    lora = _flag("train.lora_rank", "16")
    told = config.load(flags=[_flag("model", "whisper-medium"), lora], environment={})
    rate, origin = _told(told, "train.learning_rate")
    assert rate == pytest.approx(6.25e-5)
    assert origin == "preset of whisper-medium, times 10 for LoRA"
    told = config.load(flags=[_flag("model", "someone/whisper-x"), lora], environment={})
    # Known once the model is; then that of its size, times 10.
    assert _told(told, "train.learning_rate") == (0.0, "follows from the model's size")


def test_a_profile_that_comes_with_the_project_is_changed_by_the_files(here: Path) -> None:
    (here / "jobrunner.toml").write_text(PROJECT)
    told = config.load(profile="a100-80gb", environment={})
    assert _told(told, "resources.gpu_product")[0] == "NVIDIA-A100-SXM4-80GB"
    assert _told(told, "resources.gpus") == (4, "./jobrunner.toml, profile a100-80gb")


def test_files_and_variables_choose_backend_and_profile(here: Path) -> None:
    (here / "jobrunner.toml").write_text('backend = "local"\nprofile = "l4"\n')
    told = config.load(environment={})
    assert (told.backend, told.profile) == ("local", "l4")
    assert told.facts.is_here
    assert _told(told, "resources.gpu_product")[0] == "NVIDIA-L4"
    away = {"JOBRUNNER_BACKEND": "kubernetes", "JOBRUNNER_PROFILE": "h100"}
    assert config.load(environment=away).backend == "kubernetes"
    assert config.load(environment=away).profile == "h100"


def test_what_was_typed_chooses_the_backend_whatever_files_and_variables_say(here: Path) -> None:
    (here / "jobrunner.toml").write_text('backend = "kubernetes"\n')
    away = {"JOBRUNNER_BACKEND": "kubernetes"}
    assert config.load(backend="local", environment=away).backend == "local"
    with pytest.raises(
        UsageError, match=r"^backend: must be one of local, kubernetes, not 'slurm'"
    ):
        config.load(environment={"JOBRUNNER_BACKEND": "slurm"})


def test_a_local_run_has_a_storage_and_a_cluster_run_has_none(here: Path) -> None:
    local = config.load(backend="local", environment={}).values["storage"]
    assert local.value == str(here.parent / "home/.local/share/jobrunner")
    assert config.load(environment={}).values["storage"].value == ""


def test_folders_are_relative_to_where_they_were_written_down(here: Path) -> None:
    (here / "sub/model").mkdir(parents=True)
    (here / "sub/there.toml").write_text(
        'model = "model"\nstorage = "runs"\n[data]\nsource = "folder:../speech"\n'
    )
    told = config.load(config="sub/there.toml", environment={})
    assert _told(told, "model") == (str(here / "sub/model"), "sub/there.toml")
    assert told.values["storage"].value == str(here / "sub/runs")
    assert told.values["data.source"].value == f"folder:{here}/speech"
    typed = config.load(
        flags=[_flag("storage", "runs"), _flag("data.source", "folder:~/speech")], environment={}
    )
    assert typed.values["storage"].value == str(here / "runs")
    assert typed.values["data.source"].value == f"folder:{here.parent}/home/speech"


def test_a_model_that_looks_like_a_hub_id_and_is_a_folder_is_the_folder(here: Path) -> None:
    (here / "examples/whisper-micro").mkdir(parents=True)
    (here / "whisper-tiny").mkdir()
    values = [
        config.load(flags=[_flag("model", text)], environment={}).values["model"].value
        for text in ("examples/whisper-micro", "owner/elsewhere", "whisper-tiny", "./new")
    ]
    assert values == [
        str(here / "examples/whisper-micro"),
        "owner/elsewhere",
        "whisper-tiny",
        str(here / "new"),
    ]


def test_a_folder_as_data_needs_no_kind(here: Path) -> None:
    (here / "speech").mkdir()
    told = config.load(flags=[_flag("data.source", "speech")], environment={})
    assert told.values["data.source"].value == f"folder:{here}/speech"


def test_texts_become_what_their_field_is(here: Path) -> None:
    texts = {
        "train.steps": "12",
        "train.learning_rate": "1e-5",
        "train.freeze_encoder": "Yes",
        "evaluate.base": "false",
        "evaluate.languages": "el, en,hi",
        "resources.cpu": "4",
        "lang": "Greek",
    }
    spec = config.load(flags=[_flag(*each) for each in texts.items()], environment={}).spec()
    assert (spec.train.steps, spec.train.learning_rate) == (12, 1e-5)
    assert (spec.train.freeze_encoder, spec.evaluate.base) == (True, False)
    assert spec.evaluate.languages == ("el", "en", "hi")
    assert (spec.resources.cpu, spec.lang) == ("4", "el")


def test_lists_in_a_file_may_be_one_text(here: Path) -> None:
    (here / "jobrunner.toml").write_text('lang = "el"\n[evaluate]\nlanguages = "el,en"\n')
    assert config.load(environment={}).spec().evaluate.languages == ("el", "en")


@given(
    steps=st.integers(1, 2**53 - 1),
    save=st.none() | st.integers(1, 2**53 - 1),
    validate=st.none() | st.integers(1, 2**53 - 1),
)
def test_derived_values_always_fit_together(
    steps: int, save: int | None, validate: int | None
) -> None:
    given_values = {
        "train.steps": steps,
        "train.save_every": save,
        "train.validate_every": validate,
    }
    told = {path: value for path, value in given_values.items() if value is not None}
    following = {path: value for path, (value, _) in derived(told).items()}
    whole = {**told, **following}
    assert not told.keys() & following.keys()
    assert 0 <= whole["train.warmup_steps"] <= min(500, steps / 5)
    if save is None or validate is None:
        assert whole["train.validate_every"] % whole["train.save_every"] == 0
    if save is None and validate is None:
        assert whole["train.save_every"] <= steps


@pytest.mark.parametrize(
    ("typed", "steps", "epochs", "patience"),
    [
        ({}, 2000, 8.0, 3),
        ({"train.steps": "500"}, 500, 0.0, 0),
        ({"train.epochs": "3"}, 0, 3.0, 3),
        ({"train.epochs": "3", "train.steps": "500"}, 500, 3.0, 3),
        ({"train.epochs": "0"}, 2000, 0.0, 0),
        ({"train.steps": "0"}, 0, 8.0, 3),
        ({"train.steps": "500", "train.patience": "2"}, 500, 0.0, 2),
    ],
    ids=str,
)
def test_steps_follow_from_the_data_unless_they_are_given(
    here: Path, typed: dict[str, str], steps: int, epochs: float, patience: int
) -> None:
    flags = [_flag("lang", "el"), *(_flag(*each) for each in typed.items())]
    train = config.load(flags=flags, environment={}).spec().train
    assert (train.steps, train.epochs, train.patience) == (steps, epochs, patience)


@pytest.mark.parametrize(
    ("model", "rate", "origin"),
    [
        ("openai/whisper-large-v3", 4.375e-6, "preset of whisper-large-v3"),
        ("whisper-large-v3-turbo", 4.375e-6, "preset of whisper-turbo"),
        ("openai/whisper-tiny", 3.75e-5, "preset of whisper-tiny"),
        ("someone/whisper-tiny", 0.0, "follows from the model's size"),
    ],
)
def test_the_rate_is_that_of_the_model_under_any_of_its_names(
    here: Path, model: str, rate: float, origin: str
) -> None:
    told = config.load(flags=[_flag("lang", "el"), _flag("model", model)], environment={})
    assert _told(told, "train.learning_rate") == (rate, origin)
    assert told.spec().train.learning_rate == rate


def test_a_folder_of_the_name_of_a_hub_id_is_the_folder(here: Path) -> None:
    (here / "openai/whisper-tiny").mkdir(parents=True)
    told = config.load(flags=[_flag("model", "openai/whisper-tiny")], environment={})
    assert told.values["model"].value == str(here / "openai/whisper-tiny")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("s3:/bucket/runs", "'s3:/bucket/runs' is not a URL; write s3://bucket/runs"),
        ("S3://bucket", "'S3://bucket' is not a URL; write s3://bucket"),
        ("s3//bucket", "'s3//bucket' is not a URL; write s3://bucket"),
        ("s3:", "'s3:' is not a URL; write s3://BUCKET/PREFIX"),
        ("file://", "'file://' names no folder; write file:///PATH or PATH"),
        ("file://runs", "'file://runs' names no folder"),
        ("gs://bucket", "'gs://bucket' is neither s3://BUCKET/PREFIX nor a folder"),
        ("https:bucket", "'https:bucket' is neither s3://BUCKET/PREFIX nor a folder"),
        ("$HOME/runs", "'$HOME/runs' has a variable that no shell replaced; write the path"),
        ("${HOME}", "'${HOME}' has a variable that no shell replaced"),
        ("C:\\data", "'C:\\\\data' is a path of Windows"),
        ("c:/data", "'c:/data' is a path of Windows"),
        ("\\\\host\\share", "is a path of Windows"),
    ],
)
def test_a_storage_that_was_meant_as_something_else_is_no_folder(
    here: Path, typed: str, problem: str
) -> None:
    (here / "jobrunner.toml").write_text(f"storage = {json.dumps(typed)}\n")
    with pytest.raises(SpecError) as caught:
        config.load(backend="local", environment={})
    assert problem in caught.value.message
    assert caught.value.message.endswith("(from ./jobrunner.toml).")
    (here / "jobrunner.toml").unlink()
    with pytest.raises(SpecError, match=r"^storage: .* \(from argument\)"):
        config.load(arguments={"storage": typed}, backend="local", environment={})


def test_an_unusual_name_of_a_folder_is_still_a_folder(here: Path) -> None:
    for text in ("a:b", "runs/$x", "s3", "file:"[:-1], "file:///runs"):
        given = config.load(flags=[_flag("storage", text)], environment={}).values["storage"].value
        assert given == ("/runs" if text == "file:///runs" else str(here / text))


def test_the_same_option_twice_is_refused() -> None:
    flags = [Flag(origin="--set train.steps", path="train.steps", text=n) for n in ("3", "4")]
    with pytest.raises(SpecError, match=r"^train\.steps: is given twice, by --set train\.steps\.$"):
        config.load(flags=flags, environment={})
