"""The evaluate stage measures what it should, once, and tells how the model changed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from jobrunner.core import evaluate
from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.core.data import layout
from jobrunner.errors import DeviceError, Interrupted, NotFound
from jobrunner.scoring import result
from jobrunner.scoring.rates import score
from jobrunner.scoring.result import Result
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import Storage, folders
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.builders import LoggedContext, run_id
from tests.harness.prepared import Clip, write_split
from tests.harness.tiny import make_whisper

RATE = layout.SAMPLE_RATE
# Seconds of the test clips; the tiny model hears 2 s at most.
SECONDS = (0.5, 1.5, 0.7, 2.5, 1.0, 1.2)
TEXTS = ("ένα", "δύο τρία", "", "πολύ μεγάλο", "τέσσερα", "πέντε, έξι")


def spec_of(**changes: object) -> RunSpec:
    values: dict[str, object] = {
        "model": "./tiny",
        "model_revision": "abc",
        "data__source": "folder:speech",
        "resources__device": "cpu",
        "evaluate__batch_size": 8,
    }
    return builders.spec(**{**values, **changes})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two tiny models that write different nonsense."""
    folder = tmp_path_factory.mktemp("models")
    return made(folder / "a", seed=1), made(folder / "b", seed=2)


def made(folder: Path, *, seed: int) -> Path:
    """A tiny model that stops after a few tokens, to be quick."""
    make_whisper(folder, seed=seed)
    generation = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**generation, "max_length": 16}))
    return folder


@pytest.fixture
def context(tmp_path: Path, models: tuple[Path, Path]) -> LoggedContext:
    """A run whose data, base model and export are in storage."""
    spec = spec_of()
    storage = LocalStorage(tmp_path / "storage")
    for language in ("el", "ja"):
        prepare_test_split(storage, keys.data_prefix(spec, language))
    folders.publish(storage, keys.model_prefix(spec), models[0])
    folders.publish(storage, keys.export_prefix(run_id(spec)), models[1])
    return context_of(storage, spec, tmp_path)


def context_of(storage: Storage, spec: RunSpec, folder: Path) -> LoggedContext:
    progress = ProgressReporter(folder / "progress.json")
    return builders.stage_context(spec, folder / "scratch", storage=storage, progress=progress)


def prepare_test_split(storage: LocalStorage, prefix: str) -> None:
    """A test split of noise."""
    noise = np.random.default_rng(0)
    clips = [
        Clip(f"{number}.mp3", noise.uniform(-0.3, 0.3, int(seconds * RATE)), text)
        for number, (seconds, text) in enumerate(zip(SECONDS, TEXTS, strict=True))
    ]
    write_split(storage, prefix, "test", clips)


def key_of(context: LoggedContext, which: str, language: str = "el") -> str:
    return keys.result_file(context.run, which, "speech", language)


def result_of(context: LoggedContext, which: str, language: str = "el") -> Result:
    key = key_of(context, which, language)
    return result.parse(context.storage.read(key), key)


def test_both_models_are_measured_and_the_change_is_told(context: LoggedContext) -> None:
    evaluate.run(context, language="el")
    base, tuned = result_of(context, "base"), result_of(context, "tuned")
    assert base.change is None
    assert tuned.change is not None
    difference = tuned.scores.lead.value - base.scores.lead.value
    assert tuned.change.value == pytest.approx(difference)
    assert base.model_digest != tuned.model_digest
    assert base.data_digest == tuned.data_digest
    assert (base.which, base.language, base.test_set, base.split) == (
        "base",
        "el",
        "speech",
        "test",
    )
    assert base.audio_seconds == pytest.approx(sum(SECONDS) - 2.5)
    assert base.rtfx > 0
    assert base.device == "cpu"
    progress = json.loads((context.scratch.parent / "progress.json").read_text())
    assert progress["done"] == 1
    assert context.lines[-1].startswith("change: ")


def test_a_result_names_the_commits_of_model_and_speech(context: LoggedContext) -> None:
    evaluate.run(context, language="ja")
    assert (result_of(context, "base", "ja").model_commit) == ""
    origin = keys.model_prefix(context.spec) + keys.ORIGIN
    context.storage.write(origin, b'{"commit": "1a2b"}')
    key = keys.split_prefix(context.spec, "el", "test") + "manifest.json"
    manifest = json.loads(context.storage.read(key))
    context.storage.write(key, json.dumps({**manifest, "commit": "3c4d"}).encode())
    evaluate.run(context, language="el")
    for which in ("base", "tuned"):
        found = result_of(context, which)
        assert (found.model_commit, found.data_commit) == ("1a2b", "3c4d")
    card = context.storage.read(keys.export_prefix(context.run) + keys.CARD).decode()
    assert "On the hub: Base model: commit `1a2b`; Speech: commit `3c4d`." in card


def test_predictions_give_the_scores_again(context: LoggedContext) -> None:
    evaluate.run(context, language="ja")
    found = result_of(context, "tuned", "ja")
    key = keys.predictions_file(context.run, "tuned", "speech", "ja")
    rows = pyarrow.parquet.read_table(io.BytesIO(context.storage.read(key))).to_pydict()
    again = score(rows["reference"], rows["hypothesis"], unit="characters")
    assert again == found.scores
    assert found.scores.metric.name == "cer"
    assert found.looped == sum(rows["looped"])
    assert all(score < 0 for score in rows["score"])
    assert rows["clip"] == ["0.mp3", "1.mp3", "2.mp3", "4.mp3", "5.mp3"]
    assert rows["seconds"] == pytest.approx([0.5, 1.5, 0.7, 1.0, 1.2])


def test_a_clip_over_the_window_and_one_without_text_are_counted(context: LoggedContext) -> None:
    evaluate.run(context, language="el")
    found = result_of(context, "base")
    assert found.too_long == 1
    assert found.scores.empty_references == 1
    assert found.scores.utterances == 4


def test_batches_make_no_difference_to_the_texts(context: LoggedContext, tmp_path: Path) -> None:
    evaluate.run(context, language="el")
    first = result_of(context, "base")
    alone = spec_of(evaluate__batch_size=1)
    evaluate.run(context_of(context.storage, alone, tmp_path), language="el")
    second = result_of(context, "base")
    assert second.settings.batch_size == 1
    assert second.scores == first.scores


def test_a_measurement_that_is_there_is_not_made_again(
    context: LoggedContext, tmp_path: Path
) -> None:
    evaluate.run(context, language="el")
    before = {which: context.storage.read(key_of(context, which)) for which in ("base", "tuned")}
    again = context_of(context.storage, context.spec, tmp_path)
    evaluate.run(again, language="el")
    assert {w: context.storage.read(key_of(context, w)) for w in ("base", "tuned")} == before
    assert sum("measured before" in line for line in again.lines) == 2


def test_a_measurement_by_other_rules_of_decoding_is_made_again(
    context: LoggedContext, tmp_path: Path
) -> None:
    evaluate.run(context, language="el")
    now = result_of(context, "base")
    assert (now.settings.decoding, now.settings.characters_a_second) == ("greedy", 35)
    # As a version without a limit stored it.
    older = json.loads(context.storage.read(key_of(context, "base")))
    del older["settings"]["characters_a_second"]
    context.storage.write(key_of(context, "base"), json.dumps(older).encode())
    assert result_of(context, "base").settings.characters_a_second == 0
    evaluate.run(context_of(context.storage, context.spec, tmp_path), language="el")
    assert result_of(context, "base").settings == now.settings


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"version": 1'])
def test_a_result_that_cannot_be_read_is_measured_again(
    context: LoggedContext, broken: bytes
) -> None:
    context.storage.write(key_of(context, "base"), broken)
    evaluate.run(context, language="el")
    assert result_of(context, "base").scores.utterances == 4


def test_a_new_export_is_measured_and_the_base_model_is_not(
    context: LoggedContext, models: tuple[Path, Path], tmp_path: Path
) -> None:
    evaluate.run(context, language="el")
    base, tuned = result_of(context, "base"), result_of(context, "tuned")
    folders.publish(context.storage, keys.export_prefix(context.run), models[0])
    evaluate.run(context, language="el")
    assert result_of(context, "base") == base
    same = result_of(context, "tuned")
    assert same.model_digest == base.model_digest != tuned.model_digest
    assert same.change is not None
    assert same.change.value == same.change.low == same.change.high == 0


def test_the_base_model_measured_later_is_compared_then(
    context: LoggedContext, tmp_path: Path
) -> None:
    alone = spec_of(evaluate__base=False)
    evaluate.run(context_of(context.storage, alone, tmp_path), language="el")
    assert result_of(context, "tuned").change is None
    assert context.storage.stat(key_of(context, "base")) is None
    evaluate.run(context, language="el")
    assert result_of(context, "tuned").change is not None
    assert sum("measured before" in line for line in context.lines) == 1


def test_an_evaluation_of_a_model_as_it_is_needs_no_export(
    context: LoggedContext, tmp_path: Path
) -> None:
    spec = spec_of(task="evaluate")
    only = context_of(context.storage, spec, tmp_path)
    evaluate.run(only, language="el")
    assert result_of(only, "base").run == run_id(spec)
    assert only.storage.stat(key_of(only, "tuned")) is None
    assert only.storage.stat(keys.export_prefix(only.run) + "README.md") is None


def test_the_card_has_the_results_and_the_export_still_verifies(
    context: LoggedContext, tmp_path: Path
) -> None:
    digest = folders.digest(context.storage, keys.export_prefix(context.run))
    for language in ("el", "ja"):
        evaluate.run(context, language=language)
    prefix = keys.export_prefix(context.run)
    card = context.storage.read(f"{prefix}README.md").decode()
    assert "| Greek (el) | speech test | WER |" in card
    assert "| Japanese (ja) | speech test | CER |" in card
    assert folders.digest(context.storage, prefix) == digest
    manifest = json.loads(context.storage.read(f"{prefix}manifest.json"))
    assert "README.md" not in manifest["files"]
    assert "model.safetensors" in manifest["files"]


def test_a_stop_keeps_what_was_measured(context: LoggedContext) -> None:
    evaluate.run(context, language="el")
    context.storage.delete(key_of(context, "tuned"))
    context.stop.requested_at = 1.0
    with pytest.raises(Interrupted, match="0 of 5 utterances"):
        evaluate.run(context, language="el")
    assert context.storage.stat(key_of(context, "tuned")) is None
    assert result_of(context, "base").scores.utterances == 4


def test_fewer_utterances_are_spread_over_the_test_set(
    context: LoggedContext, tmp_path: Path
) -> None:
    spec = spec_of(evaluate__batch_size=2, evaluate__max_utterances=3, evaluate__base=False)
    evaluate.run(context_of(context.storage, spec, tmp_path), language="el")
    found = result_of(context, "tuned")
    assert found.settings.max_utterances == 3
    # Of clips 0, 2 and 4 the second has no text.
    assert (found.scores.utterances, found.scores.empty_references) == (2, 1)


def test_a_missing_export_is_named(context: LoggedContext) -> None:
    context.storage.delete(keys.export_prefix(context.run) + "manifest.json")
    with pytest.raises(NotFound, match="export/ is not in storage"):
        evaluate.run(context, language="el")
    assert result_of(context, "base").scores.utterances == 4


def test_data_that_were_never_prepared_are_named(context: LoggedContext) -> None:
    with pytest.raises(NotFound, match=r"holds no prepared speech\. Submit the run again"):
        evaluate.run(context, language="sw")


def test_a_run_that_asked_for_a_gpu_and_sees_none_fails_at_once(
    context: LoggedContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = spec_of(resources__device="auto", resources__gpus=1)
    with pytest.raises(DeviceError, match="none is visible"):
        evaluate.run(context_of(context.storage, spec, tmp_path), language="el")
