"""Preparing that ends with an error, repaired as its hint says: folders, mirrors, the hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from transformers import WhisperForConditionalGeneration

from jobrunner.core import hub as hubs
from jobrunner.core import prepare
from jobrunner.errors import DataError, JobrunnerError, SpecError
from jobrunner.spec import RunSpec
from tests import builders
from tests.core.data.sources.test_fleurs import CONFIGS, FLEURS, REVISIONS, write_fleurs
from tests.harness.audiofolders import write_folder
from tests.harness.hints import assert_hint, hinted
from tests.harness.paths import MICRO
from tests.harness.servers.hub import HubServer, serving
from tests.harness.speech import (
    Row,
    encoded,
    make_context,
    make_spec,
    pcm,
    report,
    rows,
    write_model,
    write_speech,
)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "cores", lambda: 1)


def _prepared(spec: RunSpec) -> None:
    prepare.run(make_context(spec))
    assert report(spec)


def test_clips_in_a_format_that_is_read(tmp_path: Path) -> None:
    noise = [Row(f"train/x{at}.wav", f"x {at}", data=b"noise") for at in range(3)]
    write_speech(tmp_path / "speech", [*rows(train=38), *noise])
    spec = make_spec(tmp_path)
    with hinted("Formats: WAV, FLAC, MP3, Ogg Vorbis, Opus.", DataError):
        prepare.run(make_context(spec))
    forms = ("FLAC", "MP3", "OGG")
    read = [
        replace(row, data=encoded(pcm(at), form=form))
        for at, (row, form) in enumerate(zip(noise, forms, strict=True))
    ]
    write_speech(tmp_path / "speech", [*rows(train=38), *read])
    _prepared(spec)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_column_with_transcripts(tmp_path: Path, split: str) -> None:
    bare = [replace(row, text="... !") if row.split == split else row for row in rows()]
    write_speech(tmp_path / "speech", bare)
    with hinted("Check the transcript column of the {} split.", DataError):
        prepare.run(make_context(make_spec(tmp_path)))
    header = ("file_name", "sentence", "words", "split")
    write_folder(
        tmp_path / "speech",
        [
            (row.name, row.text, good.text, row.split)
            for row, good in zip(bare, rows(), strict=True)
        ],
        header=header,
        audio=False,
    )
    _prepared(make_spec(tmp_path, text_column="words"))


def test_a_clip_that_is_taken_out_of_the_test(tmp_path: Path) -> None:
    leak = Row("test/leak.flac", "other words", "test", data=encoded(pcm(5), form="FLAC"))
    source = Row("train/source.wav", "some words", data=encoded(pcm(5)))
    write_speech(tmp_path / "speech", [*rows(), leak, source])
    spec = make_spec(tmp_path)
    with hinted("Take them out of one of the two.", DataError):
        prepare.run(make_context(spec))
    write_speech(tmp_path / "speech", [*rows(), source])
    _prepared(spec)


def test_a_mirror_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    mirror = write_fleurs(tmp_path / "mirror", {"en_us": CONFIGS["en_us"]})
    spec = make_spec(tmp_path, f"fleurs:{mirror}")
    with hinted("The layout is that of the hub's parquet conversion of google/fleurs.", SpecError):
        prepare.run(make_context(spec))
    write_fleurs(mirror, {"el_gr": CONFIGS["el_gr"]})
    damaged = mirror / "el_gr/test/0001.parquet"
    shutil.copy(damaged, tmp_path / "whole")
    damaged.write_bytes(b"PAR1")
    with hinted("Delete it and copy it again.", DataError):
        prepare.run(make_context(spec))
    damaged.unlink()
    shutil.copy(tmp_path / "whole", damaged)
    _prepared(spec)


def test_a_column_that_a_mirror_has(tmp_path: Path) -> None:
    mirror = write_fleurs(tmp_path / "mirror", {"el_gr": CONFIGS["el_gr"]})
    source = f"fleurs:{mirror}"
    with pytest.raises(SpecError) as caught:
        prepare.run(make_context(make_spec(tmp_path, source, text_column="words")))
    assert_hint("It has {}.", caught.value.hint)
    assert "raw_transcription" in caught.value.hint
    _prepared(make_spec(tmp_path, source, text_column="raw_transcription"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with FLEURS and two models, which this process asks."""
    root = tmp_path / "hub"
    write_fleurs(root / FLEURS, {"el_gr": CONFIGS["el_gr"]})
    write_model(root / "models/openai/whisper-tiny")
    write_model(root / "models/someone/mine")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with serving(root, REVISIONS) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def _fetch(tmp_path: Path, repo: str) -> list[str]:
    found = hubs.fetch_model(repo, "", scratch=tmp_path / "scratch", instead="")
    return sorted(found)


def test_a_model_whose_terms_were_accepted(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.closed["models/someone/mine"] = ("hf_mine", "GatedRepo")
    with hinted("Accept its terms on the hub and set HF_TOKEN.", SpecError):
        _fetch(tmp_path, "someone/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert _fetch(tmp_path, "someone/mine") == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("way", ["name", "token"])
def test_a_model_that_is_named_rightly_or_private(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    hub.closed["models/someone/mine"] = ("hf_mine", "RepoNotFound")
    with hinted("Check the name; a private one needs HF_TOKEN.", SpecError):
        _fetch(tmp_path, "someone/mine")
    if way == "token":
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
    name = "someone/mine" if way == "token" else "openai/whisper-tiny"
    assert _fetch(tmp_path, name) == ["config.json", "model.safetensors"]


def test_a_model_saved_as_safetensors(tmp_path: Path, hub: HubServer) -> None:
    place = hub.root / "models/someone/mine"
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    hint = "Save it with save_pretrained of a recent transformers, then name that folder."
    with hinted(hint, SpecError):
        _fetch(tmp_path, "someone/mine")
    WhisperForConditionalGeneration.from_pretrained(MICRO).save_pretrained(tmp_path / "saved")
    names = [path.name for path in (tmp_path / "saved").iterdir()]
    assert "model.safetensors" in hubs.model_files(names, "saved")


def test_a_model_with_all_its_parts(tmp_path: Path, hub: HubServer) -> None:
    place = hub.root / "models/someone/mine"
    first, second = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
    (place / "model.safetensors").rename(place / first)
    (place / "model.safetensors.index.json").write_text("{}")
    with hinted("Add the others.", SpecError):
        _fetch(tmp_path, "someone/mine")
    (place / second).write_bytes(b"weights")
    assert {first, second} <= set(_fetch(tmp_path, "someone/mine"))


def test_without_the_hub_a_folder_and_a_mirror_do(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person downloads elsewhere is what the hub has."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    spec = builders.spec(model="whisper-tiny", storage=str(tmp_path / "storage"))
    hint = "Download the model on a machine with internet, then use --model FOLDER."
    with hinted(hint, JobrunnerError):
        prepare.run(make_context(spec))
    folder = shutil.copytree(hub.root / "models/openai/whisper-tiny", tmp_path / "tiny")
    spec = spec.model_copy(update={"model": str(folder)})
    with hinted(
        "Copy {}/<split>/*.parquet of its parquet conversion to a folder, "
        "then use --data fleurs:FOLDER.",
        JobrunnerError,
    ):
        prepare.run(make_context(spec))
    shutil.copytree(hub.root / FLEURS, tmp_path / "mirror")
    mirrored = builders.spec(
        model=str(folder),
        storage=str(tmp_path / "storage"),
        data__source=f"fleurs:{tmp_path / 'mirror'}",
    )
    _prepared(mirrored)
