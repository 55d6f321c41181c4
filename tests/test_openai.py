"""Vocabulary, labels, features and normaliser are OpenAI's own, in every language of Whisper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from jobrunner.catalog import languages, native
from jobrunner.core.models import whisper
from jobrunner.core.models.features import LogMel
from jobrunner.core.models.whisper_recipe import IGNORED, WhisperRecipe
from jobrunner.errors import UsageError
from jobrunner.scoring.text import basic
from tests import builders
from tests.harness import openai_tables
from tests.harness.openai_tables import LANGUAGES, LANGUAGES_OF_LARGE_V3, openai_tokenizer
from tests.harness.utterances import utterance

RATE = 16000
OURS = {found.whisper_code: found for found in languages.LANGUAGES.values() if found.whisper}
# Names of languages for themselves, in their own scripts, with what surrounds words in sentences.
TEXTS = [f"{name}, 12:30 «{name}»! {name}'s" for names in native.NAMES.values() for name in names]
ANY_TEXT = st.text().filter(lambda text: "<|" not in text)


@pytest.fixture(scope="module", params=[99, LANGUAGES_OF_LARGE_V3])
def known(request: pytest.FixtureRequest) -> int:
    """Number of languages of the model: those before large-v3 know 99."""
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def recipe(known: int, tmp_path_factory: pytest.TempPathFactory) -> WhisperRecipe:
    mels = 128 if known == LANGUAGES_OF_LARGE_V3 else 80
    place: Path = tmp_path_factory.mktemp("openai") / "model"
    folder = openai_tables.write_whisper(place, known, mels)
    spec = builders.spec(model=str(folder))
    return whisper.load(folder, spec, "cpu", torch.float32).recipe


def sound(seconds: float) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(round(seconds * RATE))
    noise = random.standard_normal(round(seconds * RATE)) * 0.1
    return noise.astype(np.float32)


def test_special_tokens_have_openais_ids(recipe: WhisperRecipe, known: int) -> None:
    theirs = openai_tokenizer(known).special_tokens
    assert recipe._tokenizer.get_added_vocab() == theirs


def test_texts_of_all_languages_have_openais_ids(recipe: WhisperRecipe, known: int) -> None:
    encoding = openai_tokenizer(known).encoding
    assert len(TEXTS) > len(LANGUAGES)
    assert recipe._ids(TEXTS) == [encoding.encode(text) for text in TEXTS]


@given(text=ANY_TEXT)
def test_any_text_has_openais_ids_and_comes_back(text: str, recipe: WhisperRecipe) -> None:
    ids = openai_tokenizer(LANGUAGES_OF_LARGE_V3).encoding.encode(text)
    assert recipe._ids([text]) == [ids]
    decoded = recipe._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert decoded == text


def test_our_codes_of_languages_are_openais() -> None:
    assert OURS.keys() == set(LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_labels_are_those_that_openai_decodes_from_in(
    code: str, recipe: WhisperRecipe, known: int
) -> None:
    if code not in LANGUAGES[:known]:
        with pytest.raises(UsageError, match="no token for Cantonese"):
            recipe.head(OURS[code].code, "transcribe")
        return
    theirs = openai_tokenizer(known, code)
    text = f"{OURS[code].name} 1"
    window = recipe.item([utterance(text, language=OURS[code].code)], [sound(0.5)])
    head = list(theirs.sot_sequence_including_notimestamps)
    written = [*head, *theirs.encode(text), theirs.eot]
    assert window.inputs.tolist() == written[:-1]
    assert window.labels.tolist() == written[1:]


def test_a_prompt_stands_where_openai_puts_it(recipe: WhisperRecipe, known: int) -> None:
    theirs = openai_tokenizer(known, "el")
    window = recipe.item([utterance("ναι", prompt="Αθήνα")], [sound(0.5)])
    prompt = [theirs.sot_prev, *theirs.encode(" Αθήνα")]
    head = theirs.sot_sequence_including_notimestamps
    assert window.inputs.tolist() == [*prompt, *head, *theirs.encode("ναι")]
    assert window.labels.tolist()[: len(prompt)] == [IGNORED] * len(prompt)


@pytest.mark.parametrize("mels", [80, 128])
def test_mel_filters_are_those_that_openai_stored(mels: int) -> None:
    ours = LogMel.of(WhisperFeatureExtractor(feature_size=mels)).filters
    theirs = openai_tables.whisper.audio.mel_filters("cpu", mels)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)


@pytest.mark.parametrize("seconds", [0.3, 5.0, 11.7, 29.99, 30.0])
@pytest.mark.parametrize("mels", [80, 128])
def test_features_are_openais_of_padded_audio(mels: int, seconds: float) -> None:
    audio = openai_tables.whisper.audio
    theirs = audio.log_mel_spectrogram(audio.pad_or_trim(sound(seconds)), mels)
    ours = LogMel.of(WhisperFeatureExtractor(feature_size=mels))(sound(seconds))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def normalised(text: str) -> str:
    openais: Any = openai_tables.whisper.normalizers.BasicTextNormalizer()
    done: str = openais(text)
    return done


def test_the_basic_normaliser_is_openais_in_all_languages() -> None:
    assert [basic(text) for text in TEXTS] == [normalised(text) for text in TEXTS]


@given(text=st.text())
def test_the_basic_normaliser_is_openais_on_any_text(text: str) -> None:
    assert basic(text) == normalised(text)
