"""FLEURS and models from the hub: a replica in its own parquet form, as a folder and by HTTP."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from jobrunner import spec as specs
from jobrunner.core import prepare
from jobrunner.core.data.dataset import Dataset
from jobrunner.errors import DataError, SpecError
from jobrunner.spec import RunSpec, keys
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.harness.paths import ROOT
from tests.harness.processes import CORE, stage_variables
from tests.harness.servers.hub import COMMIT, HubServer, serving
from tests.harness.speech import (
    content,
    encoded,
    make_context,
    make_spec,
    report,
    sound,
    write_model,
)

# Real bytes of the forms that corpora come in.
FORMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("WAV", {}),
    ("MP3", {}),
    ("OGG", {"subtype": "OPUS"}),
)
FLEURS = "datasets/google/fleurs"
REVISIONS = {FLEURS: "refs/convert/parquet"}


def _row(config: str, split: str, at: int) -> dict[str, Any]:
    form, more = FORMS[at % 3]
    seed = sum(f"{config}{split}".encode()) * 1000 + at
    name = f"{split}-{at}.{form.lower()}"
    return {
        "id": at // 2,
        "num_samples": 6400,
        "path": f"/somewhere/{name}",
        "audio": {"bytes": encoded(sound(seed), form=form, **more), "path": name},
        "transcription": f"{split} sentence {at // 2}",
        "raw_transcription": f"{split.title()} sentence  {at // 2}.",
        "gender": at % 2,
    }


def write_fleurs(root: Path, configs: dict[str, dict[str, int]]) -> Path:
    """A replica: config → split → clips, in two files a split and row groups of three."""
    for config, splits in configs.items():
        for split, count in splits.items():
            rows = [_row(config, split, at) for at in range(count)]
            half = (count + 1) // 2
            for number, part in enumerate((rows[:half], rows[half:])):
                path = root / config / split / f"{number:04d}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                parquet.write_table(pyarrow.Table.from_pylist(part), path, row_group_size=3)
    return root


CONFIGS = {
    "el_gr": {"train": 20, "validation": 6, "test": 5},
    "en_us": {"train": 4, "validation": 2, "test": 3},
}


def _dataset(spec: RunSpec, language: str) -> Dataset:
    root = Path(spec.storage)
    prefix = keys.data_prefix(spec, language)
    return Dataset.open(LocalStorage(root), prefix, root.parent / "shards", language=language)


def _expect(spec: RunSpec) -> None:
    """What the replica becomes: all of train and validation trains, but what is held out."""
    dataset = _dataset(spec, "el")
    train, held = dataset.utterances("train"), dataset.utterances("validation")
    assert len(train) + len(held) == 26
    assert len(held) == 2  # one sentence of 13
    assert {u.text for u in train + held} == {
        *(f"Train sentence {n}." for n in range(10)),
        *(f"Validation sentence {n}." for n in range(3)),
    }
    assert {u.speaker for u in train} == {""}
    tested = dataset.utterances("test")
    assert [u.clip for u in tested] == [
        "test-0.wav",
        "test-1.mp3",
        "test-2.ogg",
        "test-3.wav",
        "test-4.mp3",
    ]
    assert [u.text for u in tested][:3] == [
        "Test sentence 0.",
        "Test sentence 0.",
        "Test sentence 1.",
    ]
    for utterance in tested:
        assert len(dataset.audio(utterance)) == pytest.approx(6400, abs=1200)
        assert dataset.audio(utterance).std() > 0.1
    assert _dataset(spec, "en").splits == ("test",)
    assert report(spec)["warnings"] == []


def test_a_mirror_of_fleurs_is_prepared(tmp_path: Path) -> None:
    mirror = write_fleurs(tmp_path / "mirror", CONFIGS)
    spec = make_spec(tmp_path, f"fleurs:{mirror}")
    spec = spec.model_copy(update={"evaluate": specs.EvaluateSpec(languages=("el", "en"))})
    prepare.run(make_context(spec))
    _expect(spec)


def test_the_column_of_the_transcript_can_be_chosen(tmp_path: Path) -> None:
    mirror = write_fleurs(tmp_path / "mirror", CONFIGS)
    spec = make_spec(tmp_path, f"fleurs:{mirror}", text_column="transcription")
    prepare.run(make_context(spec))
    assert _dataset(spec, "el").utterances("test")[0].text == "test sentence 0"
    spec = make_spec(tmp_path, f"fleurs:{mirror}", text_column="words")
    with pytest.raises(SpecError, match=r"data\.text_column: .* has no column 'words'.*It has id"):
        prepare.run(make_context(spec))


def test_a_mirror_without_the_language_or_damaged_is_told(tmp_path: Path) -> None:
    mirror = write_fleurs(tmp_path / "mirror", {"en_us": CONFIGS["en_us"]})
    spec = make_spec(tmp_path, f"fleurs:{mirror}")
    with pytest.raises(SpecError, match=r"data\.source: .* has no el_gr/<split>/\*\.parquet"):
        prepare.run(make_context(spec))
    write_fleurs(mirror, CONFIGS)
    (mirror / "el_gr/test/0001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"test/0001\.parquet cannot be read"):
        prepare.run(make_context(spec))
    with pytest.raises(SpecError, match="is not a folder"):
        prepare.run(make_context(make_spec(tmp_path, "fleurs:/nowhere")))


def test_a_language_that_fleurs_does_not_have_is_refused_in_the_spec() -> None:
    with pytest.raises(SpecError, match=r"data\.source: FLEURS has no Breton \(br\)"):
        builders.spec(lang="br")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    root = tmp_path / "hub"
    write_fleurs(root / FLEURS, CONFIGS)
    for name in ("tf_model.h5", "README.md", "model.fp32-00001-of-00002.safetensors"):
        (write_model(root / "models/openai/whisper-tiny") / name).write_text("large")
    (root / "models/someone/old").mkdir(parents=True)
    (root / "models/someone/old/config.json").write_text("{}")
    (root / "models/someone/old/pytorch_model.bin").write_text("pickle")
    with serving(root, REVISIONS) as server:
        yield server


def _prepare(root: Path, spec: RunSpec, **environment: str) -> tuple[int, str]:
    """Exit code and last line of a `prepare` of its own, with its own cache of the hub."""
    variables = {**stage_variables(spec, root), "HF_HOME": str(root / "cache"), **environment}
    done = subprocess.run(
        [*CORE, "prepare"],
        env={**os.environ, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()[-1][9:]


def _hub_spec(root: Path, **changes: Any) -> RunSpec:
    values = {"model": "whisper-tiny", "storage": str(root / "storage"), **changes}
    return builders.spec(evaluate__languages=["el", "en"], **values)


def _expect_commits(spec: RunSpec) -> None:
    """The commits of the hub are recorded with what was fetched, and change no id."""
    storage = LocalStorage(Path(spec.storage))
    assert json.loads(storage.read(keys.model_prefix(spec) + "origin.json")) == {"commit": COMMIT}
    for language, splits in (("el", ("train", "validation", "test")), ("en", ("test",))):
        for split in splits:
            manifest = storage.read(keys.split_prefix(spec, language, split) + "manifest.json")
            assert json.loads(manifest)["commit"] == COMMIT
    assert (spec.model_revision, spec.data.source.revision) == ("", "")


def test_model_and_speech_come_from_the_hub_and_only_what_is_needed(
    tmp_path: Path, hub: HubServer
) -> None:
    spec = _hub_spec(tmp_path)
    # As in a pod with a read-only root, the usual cache of the hub cannot be written.
    (tmp_path / "file").touch()
    cache = str(tmp_path / "file/cache")
    assert _prepare(tmp_path, spec, HF_ENDPOINT=hub.url, HF_HUB_CACHE=cache)[0] == 0
    _expect(spec)
    wanted = [f"el_gr/{split}/000{n}.parquet" for split in CONFIGS["el_gr"] for n in (0, 1)]
    wanted += [f"en_us/test/000{n}.parquet" for n in (0, 1)]
    assert sorted(hub.fetched) == sorted(["config.json", "model.safetensors", *wanted])
    model = {key for key in content(Path(spec.storage)) if key.startswith("models/")}
    assert {Path(key).name for key in model} == {
        "config.json",
        "model.safetensors",
        "manifest.json",
        "origin.json",
    }
    _expect_commits(spec)
    # All is in storage now: the hub may be away.
    assert _prepare(tmp_path, spec, HF_HUB_OFFLINE="1")[0] == 0


def test_without_the_hub_it_says_what_is_missing_and_what_to_do(
    tmp_path: Path, hub: HubServer
) -> None:
    spec = _hub_spec(tmp_path)
    told = (
        "The hub cannot be reached for the model openai/whisper-tiny. "
        "Download the model on a machine with internet, then use --model FOLDER."
    )
    assert _prepare(tmp_path, spec, HF_HUB_OFFLINE="1") == (1, f"error: {told}")
    code, line = _prepare(tmp_path, spec, HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 1
    assert line.startswith("error: The hub cannot be reached for the model openai/whisper-tiny (")
    local = spec.model_copy(update={"model": str(write_model(tmp_path / "model"))})
    assert _prepare(tmp_path, local, HF_HUB_OFFLINE="1") == (
        1,
        "error: The hub cannot be reached for the data set google/fleurs. "
        "Copy el_gr/<split>/*.parquet of its parquet conversion to a folder, "
        "then use --data fleurs:FOLDER.",
    )


def test_a_model_in_the_users_cache_of_the_hub_needs_no_network(
    tmp_path: Path, hub: HubServer
) -> None:
    mirror = write_fleurs(tmp_path / "mirror", CONFIGS)
    spec = _hub_spec(tmp_path, data__source=f"fleurs:{mirror}")
    assert _prepare(tmp_path, spec, HF_ENDPOINT=hub.url)[0] == 0
    again = spec.model_copy(update={"storage": str(tmp_path / "other")})
    assert _prepare(tmp_path, again, HF_HUB_OFFLINE="1")[0] == 0
    # The commit is in it: the cache knows it without the hub.
    assert content(tmp_path / "other") == content(tmp_path / "storage")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "no/such"}, "model: the hub does not know the model no/such."),
        ({"model": "someone/old"}, "model: someone/old has no weights as safetensors."),
        (
            {"model_revision": "v9"},
            "model: the hub has no such revision of the model openai/whisper-tiny.",
        ),
    ],
)
def test_a_model_that_the_hub_cannot_give_is_a_wrong_input(
    tmp_path: Path, hub: HubServer, changes: dict[str, str], told: str
) -> None:
    code, line = _prepare(tmp_path, _hub_spec(tmp_path, **changes), HF_ENDPOINT=hub.url)
    assert code == 2
    assert line.startswith(f"error: {told}")
