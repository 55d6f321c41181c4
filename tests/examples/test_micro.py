"""The toy model is an ordinary Whisper folder, knows its languages, and never saw Greek."""

from __future__ import annotations

import csv
import json
import runpy
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from tests.harness.paths import EXAMPLES, MICRO

LETTERS = {
    "Greek": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΉΊΌΎΏΪΫ",
    "Latin": "abcdefghijklmnopqrstuvwxyzáàâäãåæçéèêëíìîïñóòôöõøœúùûüŵŷßžčšđłńśźżğışțăő",
    "Devanagari": "अआइईउऊएऐओऔकखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौंँः़्।",
    "kana": "あいうえおかがきぎんゃゅょっアイウエオカガンャュョッー、。",
    "Cyrillic": "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїє",
}


@cache
def processor() -> Any:
    return WhisperProcessor.from_pretrained(MICRO)


@cache
def model() -> Any:
    return WhisperForConditionalGeneration.from_pretrained(MICRO).eval()


def card() -> dict[str, Any]:
    """The front matter of the model card."""
    _, matter, _ = (MICRO / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    read: dict[str, Any] = yaml.safe_load(matter)
    return read


def test_it_has_1_to_3_million_parameters_in_at_most_12_megabytes() -> None:
    assert 1e6 <= model().num_parameters() <= 3e6
    assert sum(path.stat().st_size for path in MICRO.iterdir() if path.is_file()) <= 12e6


def test_it_hears_windows_of_3_seconds_in_80_mel_bands() -> None:
    silence = [0.0] * 16_000
    features = processor().feature_extractor(silence, sampling_rate=16_000).input_features
    assert features[0].shape == (80, 300)
    assert model().config.max_source_positions == 150


@pytest.mark.parametrize("script", LETTERS)
def test_each_letter_is_one_token(script: str) -> None:
    for letter in LETTERS[script]:
        assert len(processor().tokenizer.encode(letter, add_special_tokens=False)) == 1, letter


@settings(deadline=None)  # the first example loads the tokenizer
@given(st.text())
def test_text_survives_the_tokenizer(text: str) -> None:
    tokenizer = processor().tokenizer
    if "<|" not in text:  # may spell a special token
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_tokenizer_starts_a_label_as_whisper_does() -> None:
    tokenizer = processor().tokenizer
    tokenizer.set_prefix_tokens(language="el", task="transcribe")
    prefix = ["<|startoftranscript|>", "<|el|>", "<|transcribe|>", "<|notimestamps|>"]
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("α").input_ids)
    assert tokens[:4] == prefix
    assert tokens[-1] == "<|endoftext|>"


def test_special_tokens_are_those_of_the_multilingual_whisper_in_its_order() -> None:
    tokenizer = processor().tokenizer
    names = ["endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe", "startoflm"]
    names += ["startofprev", "nospeech", "notimestamps"]
    names += [f"{frame * 0.02:.2f}" for frame in range(151)]
    ids = tokenizer.convert_tokens_to_ids([f"<|{name}|>" for name in names])
    assert ids == list(range(len(tokenizer) - len(names), len(tokenizer)))
    assert len(tokenizer) == model().config.vocab_size
    assert tokenizer.all_special_ids[-1] == tokenizer.convert_tokens_to_ids("<|notimestamps|>")
    assert {
        tokenizer.convert_ids_to_tokens(i) for i in model().generation_config.lang_to_id.values()
    } == {f"<|{code}|>" for code in LANGUAGES}


def test_every_sentence_of_the_corpus_fits_its_decoder() -> None:
    for table in (EXAMPLES / "speech").glob("*/metadata.csv"):
        with table.open(encoding="utf-8", newline="") as file:
            sentences = [row["sentence"] for row in csv.DictReader(file)]
        longest = max(len(ids) for ids in processor().tokenizer(sentences).input_ids)
        assert longest < model().config.max_target_positions / 2


def test_the_card_names_the_languages_it_learned_and_greek_is_not_among_them() -> None:
    script = runpy.run_path(str(MICRO / "make_micro.py"))
    learned = script["PRETRAINING_LANGUAGES"]
    assert "el" not in learned
    assert card()["language"] == list(learned)
    assert "toy" in (MICRO / "README.md").read_text(encoding="utf-8")


def test_the_script_makes_the_tokenizer_and_configuration_that_lie_beside_it(
    tmp_path: Path,
) -> None:
    script = runpy.run_path(str(MICRO / "make_micro.py"))
    tokenizer = script["make_tokenizer"]()
    tokenizer.save_pretrained(tmp_path)
    made = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    kept = json.loads((MICRO / "tokenizer.json").read_text(encoding="utf-8"))
    assert made["model"] == kept["model"]
    assert made["added_tokens"] == kept["added_tokens"]
    fresh = script["make_model"](tokenizer)
    assert fresh.generation_config.to_diff_dict() == model().generation_config.to_diff_dict()
    assert {name: weight.shape for name, weight in fresh.state_dict().items()} == {
        name: weight.shape for name, weight in model().state_dict().items()
    }


def test_it_understands_english_and_writes_no_greek_when_asked_for_it() -> None:
    torch.manual_seed(0)
    script = runpy.run_path(str(MICRO / "make_micro.py"))
    english = script["Clips"]("en", "test", processor())
    wer, _ = script["error_rates"](model(), processor(), english)
    assert wer < 0.3
    greek = script["Clips"]("el", "validation", processor())
    ids = model().generate(greek.features[:8], language="el", task="transcribe")
    heard = "".join(processor().tokenizer.batch_decode(ids, skip_special_tokens=True))
    assert not any(unicodedata.name(letter, "").startswith("GREEK") for letter in heard)
