"""What is looked at before a run starts: folders, languages, storage, GPUs, data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from jobrunner.catalog.backends import BACKENDS
from jobrunner.corpora import fingerprint
from jobrunner.errors import DeviceError, SpecError, UsageError
from jobrunner.runner import preflight
from jobrunner.runner.api import Runner
from jobrunner.spec import RunSpec
from tests.builders import run_id
from tests.harness.hints import assert_hint
from tests.harness.modelfolders import EMBEDDING, write_model_folder, write_tensors
from tests.harness.paths import EXAMPLES, MICRO

Spec = Callable[..., RunSpec]
LOCAL = BACKENDS["local"]


def test_a_folder_is_pinned_by_its_content_wherever_it_lies(
    tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write_model_folder(tmp_path / "model")
    there = tmp_path / "elsewhere" / "model"
    shutil.copytree(here, there)
    monkeypatch.chdir(tmp_path)

    first, second = (preflight.resolve(spec(model=path)) for path in ("./model", str(there)))

    assert first.model == str(here)
    assert first.model_revision == second.model_revision == fingerprint.of_model(here)
    assert run_id(first) == run_id(second)
    assert preflight.resolve(first) == first


def test_a_folder_that_changed_is_not_taken_for_the_pinned_one(tmp_path: Path, spec: Spec) -> None:
    folder = write_model_folder(tmp_path / "model")
    pinned = preflight.resolve(spec(model=str(folder)))
    write_tensors(folder / "model.safetensors", EMBEDDING, data=b"\1" * 24)

    with pytest.raises(SpecError, match=r"^model_revision: is .* Bring the old files back"):
        preflight.resolve(pinned)
    assert preflight.resolve(spec(model=str(folder))).model_revision != pinned.model_revision


def test_another_language_in_the_folder_leaves_the_run_what_it_is(
    tmp_path: Path, spec: Spec
) -> None:
    root = tmp_path / "speech"
    shutil.copytree(EXAMPLES / "speech" / "el", root / "el")
    before = preflight.resolve(spec(data__source=f"folder:{root}"))
    shutil.copytree(EXAMPLES / "speech" / "cy", root / "cy")

    assert preflight.resolve(spec(data__source=f"folder:{root}")) == before
    with (root / "el" / "metadata.csv").open("a") as table:
        table.write("\n")
    assert preflight.resolve(spec(data__source=f"folder:{root}")) != before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda m: shutil.rmtree(m), "is not a folder"),
        (lambda m: (m / "config.json").unlink(), "has no config.json"),
        (lambda m: (m / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda m: (m / "config.json").write_text("[]"), "cannot be read as JSON"),
        (
            lambda m: (m / "config.json").write_text(json.dumps({"model_type": "bert"})),
            "is of type 'bert', not whisper",
        ),
        (lambda m: (m / "model.safetensors").unlink(), "has no .safetensors file"),
    ],
)
def test_a_folder_that_is_no_whisper_is_told_before_anything_starts(
    tmp_path: Path, runner: Runner, spec: Spec, spoil: Callable[[Path], object], told: str
) -> None:
    folder = write_model_folder(tmp_path / "model")
    spoil(folder)
    with pytest.raises(SpecError, match=rf"^model: .*{told}"):
        runner.submit(spec(model=str(folder)))
    assert runner.list() == []


def test_a_language_that_the_model_has_no_token_for_is_told(tmp_path: Path, spec: Spec) -> None:
    folder = str(write_model_folder(tmp_path / "model"))
    assert preflight.preflight(spec(model=folder), LOCAL).warnings == ()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"lang": "lg"}, r"^lang: whisper-tiny has no token for Ganda"),
        ({"evaluate__languages": ["el", "lg"]}, r"^evaluate\.languages: .*Ganda"),
        ({"lang": "yue"}, r"^lang: .*Cantonese.*whisper-large-v3"),
        ({"model": folder, "lang": "sw"}, r"^lang: .*no token for Swahili"),
        (
            {"model": "whisper-tiny.en", "lang": "en", "evaluate__languages": ["el"]},
            "English only",
        ),
    ]
    for wrong, told in cases:
        with pytest.raises(SpecError, match=told):
            preflight.preflight(spec(**wrong), LOCAL)
    assert preflight.preflight(spec(lang="yue", model="whisper-turbo"), LOCAL).warnings == ()


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (
            {"freeze": ("model.decoder.layer",)},
            r"^train\.freeze: .*'model\.decoder\.layer' .* Nearest: model\.decoder\.layers",
        ),
        ({"freeze_layers": 99}, r"^train\.freeze_layers: 99 is more than the 3 layers"),
        (
            {"lora_rank": 4, "lora_targets": ("qproj",)},
            r"^train\.lora_targets: 'qproj' matches no linear layer .* Nearest: q_proj",
        ),
    ],
    ids=str,
)
def test_weights_that_a_folder_does_not_have_are_told_before_anything_starts(
    spec: Spec, train: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        preflight.preflight(spec(model=str(MICRO), train=train), LOCAL)
    preflight.preflight(spec(model=str(MICRO), task="evaluate", train=train), LOCAL)
    fine = {"freeze": ("model.decoder.layers",), "freeze_layers": 1, "lora_rank": 4}
    preflight.preflight(spec(model=str(MICRO), train=fine), LOCAL)


def test_an_optimiser_whose_package_is_missing_is_told_before_a_local_run(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version

    def lacking(package: str) -> str:
        if package == "bitsandbytes":
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(metadata, "version", lacking)
    wanted = spec(train__optimiser="adamw8bit")
    with pytest.raises(SpecError) as caught:
        preflight.preflight(wanted, LOCAL)
    assert str(caught.value) == (
        "train.optimiser: adamw8bit needs the package bitsandbytes, which this machine lacks. "
        "pip install bitsandbytes"
    )
    assert_hint("pip install bitsandbytes", caught.value.hint)
    monkeypatch.setattr(metadata, "version", lambda package: "1")
    preflight.preflight(wanted, LOCAL)


def test_a_storage_that_cannot_be_written_is_told(tmp_path: Path, spec: Spec) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match=r"^storage: .*file is a file"):
        preflight.preflight(spec(storage=str(tmp_path / "file" / "deeper")), LOCAL)
    with pytest.raises(SpecError, match=r"^storage: is not given"):
        preflight.preflight(spec(storage=""), LOCAL)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(SpecError, match=r"^storage: .* cannot be written"):
            preflight.preflight(spec(storage=str(closed / "runs")), LOCAL)
    finally:
        os.seteuid(user)


def test_a_scratch_folder_that_cannot_be_is_told_before_the_start(
    tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JOBRUNNER_SCRATCH", str(tmp_path / "file" / "deeper"))
    with pytest.raises(UsageError, match=r"^JOBRUNNER_SCRATCH: .*file: not a directory\. "):
        preflight.preflight(spec(), LOCAL)
    monkeypatch.setenv("JOBRUNNER_SCRATCH", str(tmp_path / "new"))
    preflight.preflight(spec(), LOCAL)


def test_more_gpus_than_there_are_is_told(
    tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match="asks for 1 GPU, but this machine shows none"):
        preflight.preflight(spec(resources={}), LOCAL)


def test_a_missing_or_empty_data_folder_is_told(tmp_path: Path, spec: Spec) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (tmp_path / "missing", empty):
        with pytest.raises(SpecError, match=rf"^data\.source: {place}"):
            preflight.preflight(spec(data__source=f"folder:{place}"), LOCAL)


def test_the_clips_of_every_language_are_counted(tmp_path: Path, spec: Spec) -> None:
    source = f"folder:{EXAMPLES / 'speech'}"
    found = preflight.preflight(spec(data__source=source, evaluate__languages=["cy"]), LOCAL)
    trained, tested = found.speech
    assert (trained.language, tested.language) == ("el", "cy")
    assert sum(trained.kept.values()) == trained.rows - sum(trained.left_out.values())
    assert set(trained.kept) == {"train", "validation"}
    assert set(tested.kept) == {"test"}
    assert preflight.preflight(spec(), LOCAL).speech == ()


def test_a_learning_rate_far_above_the_usual_one_is_warned_of(spec: Spec) -> None:
    assert preflight.preflight(spec(train__learning_rate=0.003), LOCAL).warnings == ()
    [warning] = preflight.preflight(spec(train__learning_rate=0.03), LOCAL).warnings
    assert warning == (
        "train.learning_rate is 0.03, 800 times the 3.75e-05 that suits whisper-tiny; "
        "training may diverge."
    )
