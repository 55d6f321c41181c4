"""Labels with times are written as OpenAI's own tokenizer writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperTokenizer
from whisper.tokenizer import get_tokenizer

from jobrunner.core.data.layout import Utterance
from jobrunner.core.models import whisper
from jobrunner.core.models.base import Unit
from jobrunner.core.models.timestamps import Stamps, joined, placed
from jobrunner.core.models.whisper_batch import Window
from jobrunner.core.models.whisper_recipe import WhisperRecipe
from jobrunner.errors import UsageError
from jobrunner.spec import RunSpec
from jobrunner.spec.memory import Room
from tests import builders
from tests.harness.hints import assert_hint
from tests.harness.paths import ROOT
from tests.harness.tiny import make_whisper
from tests.harness.utterances import utterance

MICRO = ROOT / "examples" / "whisper-micro"
RATE = 16_000


@pytest.fixture(scope="module")
def recipe() -> WhisperRecipe:
    return whisper.load(MICRO, builders.spec(model="./micro"), "cpu", torch.float32).recipe


def spec_of(share: float) -> RunSpec:
    return builders.spec(model="./micro", train__timestamps=share)


def window_of(recipe: WhisperRecipe, clips: list[Utterance], *, timed: bool) -> Window:
    sounds = [np.ones(round(clip.seconds * RATE), dtype=np.float32) for clip in clips]
    unit = Unit(clips=tuple(range(len(clips))), samples=1, weight=1, size=1, timed=timed)
    return recipe.item(clips, sounds, unit)


def test_times_stand_around_each_text(recipe: WhisperRecipe) -> None:
    clips = [utterance("ναι", seconds=0.5), utterance("όχι", seconds=1.014)]
    tokenizer = WhisperTokenizer.from_pretrained(MICRO)
    window = window_of(recipe, clips, timed=True)
    assert tokenizer.decode(window.labels.tolist(), decode_with_timestamps=True) == (
        "<|el|><|transcribe|><|0.00|> ναι<|0.50|><|0.60|> όχι<|1.62|><|endoftext|>"
    )
    assert window.inputs.tolist()[1:] == window.labels.tolist()[:-1]
    # Without the times the text is the one that is labelled without them.
    plain = window_of(recipe, clips, timed=False)
    texts = [
        tokenizer.decode(each.labels.tolist(), skip_special_tokens=True) for each in (window, plain)
    ]
    assert texts[0].strip() == texts[1] == "ναι όχι"


# The package leaves the file of its vocabulary open.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_openais_tokenizer_reads_the_same_form() -> None:
    theirs = get_tokenizer(multilingual=True, language="el", task="transcribe")
    stamps = Stamps(theirs.special_tokens, 30.0)
    stamps.check()
    spans = placed([16_000, 32_160], RATE)
    ids = [
        id_
        for text, (start, end) in zip((" ναι", " όχι"), spans, strict=True)
        for id_ in (stamps.at(start), *theirs.encode(text), stamps.at(end))
    ]
    assert theirs.decode_with_timestamps(ids) == "<|0.00|> ναι<|1.00|><|1.10|> όχι<|3.12|>"
    assert [stamps.at(seconds) for seconds in (0.0, 0.02, 29.999, 30.0)] == [
        theirs.timestamp_begin + step for step in (0, 1, 1500, 1500)
    ]


def test_places_are_those_in_the_joined_sound() -> None:
    sounds = [np.full(samples, 1.0 + n, dtype=np.float32) for n, samples in enumerate((800, 3200))]
    sound = joined(sounds, RATE)
    spans = placed([800, 3200], RATE)
    for value, (start, end) in enumerate(spans, start=1):
        assert (sound[round(start * RATE) : round(end * RATE)] == value).all()
    assert (sound == 0).sum() == 1600
    assert len(sound) == round(spans[-1][1] * RATE)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_windows_with_times_is_the_option(recipe: WhisperRecipe, share: float) -> None:
    clips = [utterance("ναι", index=n, seconds=0.4 + n % 7 / 10) for n in range(600)]
    packing = recipe.packing(clips, recipe.measure(clips), spec_of(share), Room())
    units = packing.pack(np.random.default_rng(0))
    assert units == packing.pack(np.random.default_rng(0))
    assert sum(unit.timed for unit in units) / len(units) == pytest.approx(share, abs=0.06)
    for unit in units[:50]:
        held = [clips[clip] for clip in unit.clips]
        sounds = [np.ones(round(clip.seconds * RATE), dtype=np.float32) for clip in held]
        assert recipe.collate([recipe.item(held, sounds, unit)]).weight == unit.weight


def test_a_window_whose_text_leaves_no_room_for_times_has_none(recipe: WhisperRecipe) -> None:
    # 128 tokens: 3 before the text, which has one each character, and 1 after it.
    clips = [utterance("α" * 124, index=0), utterance("α" * 122, index=1)]
    units = recipe.packing(clips, recipe.measure(clips), spec_of(1.0), Room()).pack(
        np.random.default_rng(0)
    )
    assert {unit.clips: unit.timed for unit in units} == {(0,): False, (1,): True}


def test_a_tokenizer_without_times_is_refused_in_one_line(
    recipe: WhisperRecipe, tmp_path: Path
) -> None:
    folder = make_whisper(tmp_path / "tiny")
    lacking = whisper.load(folder, spec_of(0.5), "cpu", torch.float32).recipe
    clips = [utterance("ναι")]
    hint = "Leave out train.timestamps, or choose a model that writes timestamps."
    with pytest.raises(UsageError, match="no timestamp tokens, which") as caught:
        lacking.packing(clips, lacking.measure(clips), spec_of(0.5), Room())
    assert_hint(hint, caught.value.hint)
    for able, share in ((lacking, 0.0), (recipe, 0.5)):
        packing = able.packing(clips, able.measure(clips), spec_of(share), Room())
        assert len(packing.pack(np.random.default_rng(0))) == 1
