"""Windows are labelled as the tokenizer would, each clip in its own language, task and prompt."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperTokenizer

from jobrunner.core.data.layout import Utterance
from jobrunner.core.models import whisper
from jobrunner.core.models.base import Unit
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.models.whisper_batch import IGNORED, Window
from jobrunner.core.models.whisper_recipe import WhisperRecipe
from jobrunner.core.models.windows import Measure
from jobrunner.errors import DataError, UsageError
from jobrunner.spec.memory import Room
from tests import builders
from tests.harness.tiny import POSITIONS, SECONDS, make_whisper
from tests.harness.utterances import utterance

TEXTS = ("καλημέρα σας", "ναι", "τι κάνετε;")
SPEC = builders.spec(model="./tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Whisper:
    return whisper.load(folder, SPEC, "cpu", torch.float32)


@pytest.fixture(scope="module")
def recipe(model: Whisper) -> WhisperRecipe:
    return model.recipe


@pytest.fixture(scope="module")
def vocabulary(folder: Path) -> dict[str, int]:
    found: dict[str, int] = WhisperTokenizer.from_pretrained(folder).get_added_vocab()
    return found


def item_of(recipe: WhisperRecipe, *clips: Utterance) -> Window:
    random = np.random.default_rng(len(clips))
    sounds = [
        random.standard_normal(round(clip.seconds * recipe.rate)).astype(np.float32)
        for clip in clips
    ]
    return recipe.item(clips, sounds)


def spelt(recipe: WhisperRecipe, window: Window) -> str:
    """The labels as text, without what stands before and after the text itself."""
    text: str = recipe._tokenizer.decode(window.labels[3:-1].tolist())
    return text


def test_labels_are_the_tokenizers_own_less_one_start_token(
    recipe: WhisperRecipe, folder: Path, vocabulary: dict[str, int]
) -> None:
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    labels = item_of(recipe, utterance(TEXTS[0])).labels.tolist()
    wanted = ["<|el|>", "<|transcribe|>", "<|notimestamps|>"]
    assert labels[:3] == [vocabulary[name] for name in wanted]
    assert vocabulary["<|startoftranscript|>"] not in labels
    assert labels[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(labels[3:-1]) == TEXTS[0]


def test_the_decoder_reads_the_start_token_and_the_labels_before(
    recipe: WhisperRecipe, vocabulary: dict[str, int]
) -> None:
    window = item_of(recipe, utterance(TEXTS[0]))
    assert window.inputs[0] == vocabulary["<|startoftranscript|>"]
    assert window.inputs[1:].tolist() == window.labels[:-1].tolist()


def test_packed_labels_spell_the_joined_texts(recipe: WhisperRecipe) -> None:
    packed = item_of(recipe, *(utterance(text) for text in TEXTS))
    alone = item_of(recipe, utterance(" ".join(TEXTS)))
    assert packed.labels.tolist() == alone.labels.tolist()
    assert spelt(recipe, packed) == " ".join(TEXTS)


def test_texts_without_spaces_are_joined_without(recipe: WhisperRecipe) -> None:
    clips = [utterance(text, language="zh") for text in ("你好", "再见")]
    assert spelt(recipe, item_of(recipe, *clips)) == "你好再见"


def test_a_window_holds_the_sound_of_its_clips_one_after_the_other(recipe: WhisperRecipe) -> None:
    random = np.random.default_rng(0)
    sounds = [random.standard_normal(n).astype(np.float32) for n in (4000, 9000)]
    window = recipe.item([utterance("ναι"), utterance("όχι")], sounds)
    silence = np.zeros(recipe.rate // 10, dtype=np.float32)
    assert torch.equal(
        window.features, recipe.features(np.concatenate([sounds[0], silence, sounds[1]]))
    )


@pytest.mark.parametrize("samples", [1, 4000, 5280])
def test_a_cropped_window_begins_like_the_whole_one(recipe: WhisperRecipe, samples: int) -> None:
    sound = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    clip = utterance("ναι", seconds=samples / recipe.rate)
    unit = Unit(clips=(0,), samples=samples, weight=7, size=7, shape=5440)
    cropped, whole = recipe.item([clip], [sound], unit), recipe.item([clip], [sound])
    assert cropped.features.shape[-1] == 34
    assert whole.features.shape[-1] == 100 * SECONDS
    assert torch.equal(cropped.features, whole.features[:, :34])
    assert cropped.heard == whole.heard == -(-samples // 160)
    # What is cut off is one constant, the silence after the audio.
    assert len(set(whole.features[:, 36:].flatten().tolist())) == 1


def test_silence_alone_crops_like_any_sound(recipe: WhisperRecipe) -> None:
    sound = np.zeros(4000, dtype=np.float32)
    unit = Unit(clips=(0,), samples=4000, weight=7, size=7, shape=5440)
    cropped = recipe.item([utterance("ναι")], [sound], unit)
    assert torch.equal(cropped.features, recipe.features(sound)[:, :34])


@pytest.mark.parametrize("language", ["el", "en", "ja"])
@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_each_window_is_in_the_language_and_task_of_its_clips(
    recipe: WhisperRecipe, vocabulary: dict[str, int], language: str, task: str
) -> None:
    # Whatever language the model is set to write.
    labels = item_of(recipe, utterance("yes", language=language, task=task)).labels.tolist()
    wanted = [f"<|{language}|>", f"<|{task}|>", "<|notimestamps|>"]
    assert labels[:3] == [vocabulary[name] for name in wanted]


def test_one_batch_may_hold_windows_of_several_languages(
    recipe: WhisperRecipe, vocabulary: dict[str, int]
) -> None:
    codes = ("en", "el", "zh")
    batch = recipe.collate([item_of(recipe, utterance("a", language=code)) for code in codes])
    assert batch.labels[:, 0].tolist() == [vocabulary[f"<|{code}|>"] for code in codes]


def test_a_prompt_is_read_and_not_learnt(model: Whisper, vocabulary: dict[str, int]) -> None:
    recipe = model.recipe
    plain = item_of(recipe, utterance("ναι"))
    window = item_of(recipe, utterance("ναι", prompt="όχι"))
    read = [vocabulary["<|startofprev|>"], *recipe._ids([" όχι"])[0]]
    assert window.inputs.tolist() == [*read, *plain.inputs.tolist()]
    assert window.labels.tolist() == [*[IGNORED] * len(read), *plain.labels.tolist()]
    batch = recipe.collate([window])
    assert batch.weight == recipe.collate([plain]).weight == len(plain.labels)
    # The loss is that of the labels alone, after the prompt was read.
    logits = model.module(
        input_features=batch.features, decoder_input_ids=batch.inputs, use_cache=False
    ).logits[0, len(read) :]
    theirs = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(plain.labels), reduction="sum"
    )
    torch.testing.assert_close(model.loss(batch), theirs)
    assert not torch.isclose(model.loss(batch), model.loss(recipe.collate([plain])))


def test_of_a_long_prompt_the_end_is_read(
    recipe: WhisperRecipe, vocabulary: dict[str, int]
) -> None:
    prompt = "α" * 100 + "ω" * 10
    window = item_of(recipe, utterance("ναι", prompt=prompt))
    read = window.inputs[: (window.labels == IGNORED).sum()].tolist()
    assert len(read) == POSITIONS // 2
    assert read[0] == vocabulary["<|startofprev|>"]
    assert recipe._tokenizer.decode(read[1:]).endswith("ω" * 10)


def test_what_is_measured_is_what_an_item_holds(recipe: WhisperRecipe) -> None:
    clips = [
        utterance("ναι", speaker="anna"),
        utterance("ναι", speaker="anna", task="translate"),
        utterance("yes", speaker="anna", language="en"),
        utterance("ναι"),
        utterance("ναι", speaker="anna", prompt="όχι"),
    ]
    measured = recipe.measure(clips)
    companies = [each.company for each in measured]
    assert len(set(companies[:3])) == 3
    # Who speaks may be unknown; a prompt belongs to its own clip alone.
    assert companies[3:] == [companies[0], None]
    assert [each.speaker for each in measured] == ["anna", "anna", "anna", "", "anna"]
    for clip, each in zip(clips, measured, strict=True):
        window = item_of(recipe, clip)
        assert each.samples == round(clip.seconds * recipe.rate)
        assert each.prompt_tokens == (window.labels == IGNORED).sum()
        assert len(window.labels) == each.prompt_tokens + 4 + each.first_tokens


def test_clips_that_no_window_can_hold_are_named_by_the_reason(recipe: WhisperRecipe) -> None:
    room = POSITIONS - 4
    clips = [
        utterance("a", seconds=float(SECONDS)),
        utterance("a", seconds=SECONDS + 0.01),
        utterance("a" * room),
        utterance("a" * (room + 1)),
        # Fits by itself, but not after what is to be read before it.
        utterance("a" * room, prompt="b"),
    ]
    reasons = [each if isinstance(each, str) else "" for each in recipe.measure(clips)]
    assert reasons == ["", "over_window", "", "over_tokens", "over_tokens"]
    assert {"over_window", "over_tokens"} == recipe.drops.keys()


lines = st.lists(
    st.tuples(
        st.text(st.sampled_from("αβγ ;"), min_size=1, max_size=40).map(str.strip).filter(bool),
        st.floats(0.1, 2.0),
        st.sampled_from(["", "anna", "nikos"]),
        st.sampled_from(["el", "en", "zh"]),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(lines=lines, seed=st.integers(0, 2**32))
def test_the_expected_weight_of_a_unit_is_the_weight_of_its_batch(
    recipe: WhisperRecipe, lines: Sequence[tuple[str, float, str, str]], seed: int
) -> None:
    clips = [
        utterance(text, index=at, seconds=seconds, speaker=speaker, language=language)
        for at, (text, seconds, speaker, language) in enumerate(lines)
    ]
    measured = recipe.measure(clips)
    kept = [at for at, each in enumerate(measured) if isinstance(each, Measure)]
    clips = [clips[at] for at in kept]
    packing = recipe.packing(clips, [measured[at] for at in kept], SPEC, Room())
    units = packing.pack(np.random.default_rng(seed)) if kept else []
    assert sorted(clip for unit in units for clip in unit.clips) == list(range(len(kept)))
    for unit in units:
        held = [clips[clip] for clip in unit.clips]
        assert len({(clip.language, clip.task) for clip in held}) == 1
        window = item_of(recipe, *held)
        assert len(window.labels) <= POSITIONS
        assert recipe.collate([window]).weight == unit.weight


def test_a_batch_is_as_wide_as_its_longest_window(recipe: WhisperRecipe) -> None:
    windows = [item_of(recipe, utterance(text)) for text in TEXTS]
    batch = recipe.collate(windows)
    for row, window in enumerate(windows):
        tokens = len(window.labels)
        assert batch.labels[row, :tokens].tolist() == window.labels.tolist()
        assert (batch.labels[row, tokens:] == IGNORED).all()
        assert batch.inputs[row, :tokens].tolist() == window.inputs.tolist()
    assert batch.labels.shape[1] == max(len(window.labels) for window in windows)
    assert batch.weight == sum(len(window.labels) for window in windows)


def test_a_recipe_goes_to_the_processes_that_load_data(recipe: WhisperRecipe) -> None:
    sent: WhisperRecipe = pickle.loads(pickle.dumps(recipe))
    clip = utterance(TEXTS[0], prompt="ναι")
    ours, theirs = item_of(recipe, clip), item_of(sent, clip)
    assert ours.labels.tolist() == theirs.labels.tolist()
    assert torch.equal(ours.features, theirs.features)


def test_a_language_without_a_token_is_a_usage_error(recipe: WhisperRecipe) -> None:
    with pytest.raises(UsageError, match="Swahili"):
        recipe.measure([utterance("ndiyo", language="sw")])


def test_audio_over_the_window_is_refused_and_never_cut(recipe: WhisperRecipe) -> None:
    with pytest.raises(DataError, match=r"2\.00 s is longer than the model's 2 s"):
        recipe.listen([np.zeros(32001, dtype=np.float32)])


SPECIAL = ("<|el|>", "ναι <|endoftext|> όχι", "<<|el|><|transcribe|>|>", "<|startofprev|> ναι")


@pytest.mark.parametrize("text", SPECIAL)
def test_a_transcript_never_speaks_for_the_model_whatever_it_has_in_it(
    recipe: WhisperRecipe, folder: Path, vocabulary: dict[str, int], text: str
) -> None:
    window = item_of(recipe, utterance(text=text, seconds=0.5, language="el"))
    written = window.labels[len(recipe.head("el", "transcribe")) : -1].tolist()
    assert not {*written} & {*vocabulary.values()}
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    assert tokenizer.decode(written, clean_up_tokenization_spaces=False).strip() == text
    assert recipe.measure([utterance(text=text, seconds=0.5, language="el")])[0] == Measure(
        samples=8000,
        first_tokens=len(written),
        next_tokens=len(written) + 1,
        company=("el", "transcribe"),
    )
