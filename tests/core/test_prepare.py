"""From an audio folder to prepared speech: what is kept, what is dropped, what is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jobrunner import spec as specs
from jobrunner.core import prepare
from jobrunner.core.data.dataset import SAMPLE_RATE, Dataset
from jobrunner.corpora import fingerprint
from jobrunner.errors import DataError, NotFound, SpecError
from jobrunner.spec import RunSpec, keys
from jobrunner.storage.local import LocalStorage
from tests.harness.speech import (
    Row,
    encoded,
    make_context,
    make_spec,
    pcm,
    report,
    rows,
    sound,
    write_speech,
)


def _dataset(spec: RunSpec, language: str = "el") -> Dataset:
    root, prefix = Path(spec.storage), keys.data_prefix(spec, language)
    return Dataset.open(LocalStorage(root), prefix, root.parent / "s", language=language)


def _prepared(root: Path, clips: list[Row], **changes: Any) -> RunSpec:
    write_speech(root / "speech", clips)
    spec = make_spec(root, **changes)
    prepare.run(make_context(spec))
    return spec


def test_what_is_prepared_is_what_the_folder_holds(tmp_path: Path) -> None:
    spec = _prepared(tmp_path, rows())
    dataset = pickle.loads(pickle.dumps(_dataset(spec)))
    assert dataset.splits == ("train", "validation", "test")
    for split, count in (("train", 12), ("validation", 2), ("test", 3)):
        found = dataset.utterances(split)
        assert [(u.index, u.clip, u.text, u.speaker) for u in found] == [
            (at, f"{split}/{at:03d}.wav", f"{split} sentence {at}", f"{split}-{at % 2}")
            for at in range(count)
        ]
        for utterance in found:
            samples = dataset.audio(utterance)
            original, _ = soundfile.read(tmp_path / "speech" / utterance.clip, dtype="float32")
            assert samples.dtype == np.float32
            assert len(samples) == round(utterance.seconds * SAMPLE_RATE)
            assert np.abs(samples - original).max() <= 0.5 / 32768
    assert report(spec)["splits"]["train"] == {
        "utterances": 12,
        "hours": round(12 * 0.4 / 3600, 4),
        "speakers": 2,
        "sentences": 12,
        "clips": 12,
        "dropped": {},
    }


def test_a_dataset_that_is_not_prepared_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no prepared speech"):
        Dataset.open(LocalStorage(tmp_path), "data/x/", tmp_path, language="el")
    spec = _prepared(tmp_path, rows())
    with pytest.raises(NotFound, match="no prepared split 'dev'"):
        _dataset(spec).utterances("dev")


def test_what_is_dropped_is_counted_by_reason_with_examples(tmp_path: Path) -> None:
    train = rows(train=60)
    odd = [
        Row("train/long.wav", "long", data=encoded(sound(1, 31.0, 8000), 8000)),
        Row("train/short.wav", "short", data=encoded(sound(2, 0.1))),
        Row("train/silent.wav", "silent", data=encoded(np.zeros(8000, np.float32))),
        Row("train/broken.mp3", "broken", data=b"noise"),
        Row("train/empty.wav", "  "),
        Row("train/twice.wav", "again", data=encoded(pcm(7))),
        Row("train/copy.flac", "again", data=encoded(pcm(7), form="FLAC")),
    ]
    spec = _prepared(tmp_path, [*train, *odd])
    told = report(spec)["splits"]["train"]
    assert told["utterances"] == 61
    assert told["clips"] == 67
    assert told["dropped"] == {
        "duplicate": {"count": 1, "examples": ["train/copy.flac: the same as train/twice.wav"]},
        "empty transcript": {"count": 1, "examples": ["train/empty.wav"]},
        "longer than 30 s": {"count": 1, "examples": ["train/long.wav"]},
        "silent": {"count": 1, "examples": ["train/silent.wav"]},
        "too short": {"count": 1, "examples": ["train/short.wav: 0.10 s"]},
        "unreadable": {"count": 1, "examples": ["train/broken.mp3: format not recognised"]},
    }
    assert "train/copy.flac" not in [u.clip for u in _dataset(spec).utterances("train")]


def test_more_than_one_in_twenty_unreadable_clips_fail_the_stage(tmp_path: Path) -> None:
    broken = [Row(f"train/x{at}.wav", "x", data=b"noise") for at in range(3)]
    write_speech(tmp_path / "speech", [*rows(train=38), *broken[:2]])
    spec = make_spec(tmp_path)
    prepare.run(make_context(spec))
    write_speech(tmp_path / "speech", [*rows(train=38), *broken])
    with pytest.raises(DataError, match=r"More than 5% of the 41 clips of train are unreadable"):
        prepare.run(make_context(spec))


def test_a_split_of_which_nothing_is_left_fails_the_stage(tmp_path: Path) -> None:
    silent = Row("test/s.wav", "x", "test", data=encoded(np.zeros(8000, np.float32)))
    with pytest.raises(DataError, match=r"No clip of test can be used \(1 silent\)"):
        _prepared(tmp_path, [*rows(test=0), silent])


@pytest.mark.parametrize(
    "before", [None, {"task": "evaluate"}, {"evaluate": specs.EvaluateSpec(languages=("sw",))}]
)
def test_a_sound_that_trains_and_tests_fails_the_stage(
    tmp_path: Path, before: dict[str, Any] | None
) -> None:
    leak = Row("test/leak.flac", "other words", "test", data=encoded(pcm(5), form="FLAC"))
    source = Row("train/source.wav", "some words", data=encoded(pcm(5)))
    write_speech(tmp_path / "speech/el", [*rows(), leak, source])
    write_speech(tmp_path / "speech/sw", rows())
    spec = make_spec(tmp_path)
    if before:  # one of the two splits is complete already
        prepare.run(make_context(spec.model_copy(update=before)))
    for _ in range(2):  # a second try must not find the other complete
        with pytest.raises(DataError, match=r"1 clips of test are in train too, such as test/leak"):
            prepare.run(make_context(spec))


def test_splits_that_share_sentences_and_speakers_are_warned_of(tmp_path: Path) -> None:
    shared = Row("test/x.wav", "Train, sentence 1!", "test", "train-0")
    write_speech(tmp_path / "speech", [*rows(), shared])
    context = make_context(make_spec(tmp_path))
    prepare.run(context)
    assert report(context.spec)["warnings"] == [
        "1 of 4 sentences of test are in train too.",
        "1 of 3 speakers of test are in train too.",
    ]
    assert "warning: Greek: 1 of 4 sentences of test are in train too." in context.lines


def test_without_a_validation_split_whole_sentences_are_held_out(tmp_path: Path) -> None:
    clips = [
        Row(f"train/{at}.wav", f"sentence {at // 3}", "train", f"speaker {at % 3}")
        for at in range(60)
    ]
    spec = _prepared(tmp_path, [*clips, *rows(0, 2, 0)], holdout=0.2)
    dataset = _dataset(spec)
    train = {u.text for u in dataset.utterances("train")}
    held = {u.text for u in dataset.utterances("validation")}
    assert len(held) == 4
    assert len(train) == 16
    assert not train & held
    assert len(dataset.utterances("validation")) == 12
    assert report(spec)["warnings"] == []


def test_a_set_prepared_for_testing_is_completed_for_training(tmp_path: Path) -> None:
    write_speech(tmp_path / "speech", rows())
    spec = make_spec(tmp_path)
    prepare.run(make_context(spec.model_copy(update={"task": "evaluate"})))
    assert _dataset(spec).splits == ("test",)
    prepare.run(make_context(spec))
    assert _dataset(spec).splits == ("train", "validation", "test")
    assert set(report(spec)["splits"]) == {"train", "validation", "test"}


def test_each_language_is_prepared_from_its_own_folder(tmp_path: Path) -> None:
    write_speech(tmp_path / "speech/el", rows())
    write_speech(tmp_path / "speech/sw", rows(test=5))
    spec = make_spec(tmp_path)
    spec = spec.model_copy(update={"evaluate": specs.EvaluateSpec(languages=("el", "sw"))})
    prepare.run(make_context(spec))
    assert _dataset(spec, "el").splits == ("train", "validation", "test")
    assert _dataset(spec, "sw").splits == ("test",)
    tested = _dataset(spec, "sw").utterances("test")
    assert [utterance.language for utterance in tested] == ["sw"] * 5


def test_a_folder_that_changed_since_the_submit_is_refused(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", rows())
    spec = make_spec(tmp_path, revision=fingerprint.of_speech(speech))
    write_speech(speech, rows(train=13))
    with pytest.raises(SpecError, match=r"data\.revision: is .* is .* now"):
        prepare.run(make_context(spec))


def test_what_lies_complete_in_storage_needs_no_source(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", rows())
    spec = make_spec(tmp_path, revision=fingerprint.of_speech(speech))
    prepare.run(make_context(spec))
    speech.rename(tmp_path / "elsewhere")
    prepare.run(make_context(spec))


def test_progress_ends_at_one_with_the_seconds_that_were_kept(tmp_path: Path) -> None:
    spec = _prepared(tmp_path, rows())
    told = json.loads((tmp_path / "progress.json").read_text())
    assert told["message"] == "prepared"
    assert told["done"] == 1.0
    assert told["audio_seconds"] == pytest.approx(17 * 0.4)
    assert not list((Path(spec.storage).parent / "scratch").glob("prepare-*"))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_whose_transcripts_are_punctuation_fails_the_stage(
    tmp_path: Path, split: str
) -> None:
    clips = [replace(row, text="... !") if row.split == split else row for row in rows()]
    with pytest.raises(DataError, match=rf"transcripts of {split} has text once it is normalised"):
        _prepared(tmp_path, clips)


def test_a_run_with_nothing_to_validate_on_fails_the_stage(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holdout: holds out nothing: train has 1 different"):
        _prepared(tmp_path, rows(1, 2, 0))
    silent = Row("v.wav", "x", "validation", data=encoded(np.zeros(8000, np.float32)))
    with pytest.raises(DataError, match=r"No clip of validation can be used \(1 silent\)"):
        _prepared(tmp_path / "silent", [*rows(validation=0), silent])
