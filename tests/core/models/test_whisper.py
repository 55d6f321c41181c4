"""Labels, loss and features are those of transformers, without its traps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import IGNORED, Batch, Whisper, collate
from jobrunner.errors import DataError, UsageError
from jobrunner.spec import RunSpec
from tests import builders
from tests.harness.tiny import make_run, make_whisper

TEXTS = ("καλημέρα σας", "ναι", "τι κάνετε;")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    return builders.spec(model="./tiny")


@pytest.fixture(scope="module")
def model(folder: Path, spec: RunSpec) -> Whisper:
    return whisper.load(folder, spec, "cpu", torch.float32)


def batch_of(model: Whisper, texts: tuple[str, ...]) -> Batch:
    random = np.random.default_rng(0)
    first, _ = model.tokenize(texts)
    audio = [random.standard_normal(9000 + 900 * n).astype(np.float32) for n in range(len(texts))]
    return collate(
        [model.features(clip) for clip in audio],
        [np.array(model.labels(ids), dtype=np.int32) for ids in first],
    )


def test_labels_are_the_tokenizers_own_less_one_start_token(model: Whisper, folder: Path) -> None:
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    vocabulary = tokenizer.get_added_vocab()
    wanted = ["<|el|>", "<|transcribe|>", "<|notimestamps|>"]
    [ids], _ = model.tokenize([TEXTS[0]])
    labels = model.labels(ids)
    assert labels[:3] == [vocabulary[name] for name in wanted]
    assert vocabulary["<|startoftranscript|>"] not in labels
    assert labels[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(labels[3:-1]) == TEXTS[0]


def test_packed_labels_spell_the_joined_texts(model: Whisper) -> None:
    first, following = model.tokenize(TEXTS)
    joined = [*first[0], *following[1], *following[2]]
    assert joined == model.tokenize([" ".join(TEXTS)])[0][0]
    assert model.tokenizer.decode(joined) == " ".join(TEXTS)


def test_texts_without_spaces_are_joined_without(folder: Path, spec: RunSpec) -> None:
    model = whisper.load(folder, spec, "cpu", torch.float32, language="zh")
    first, following = model.tokenize(("你好", "再见"))
    assert model.tokenizer.decode([*first[0], *following[1]]) == "你好再见"


def test_the_loss_is_that_of_transformers(model: Whisper) -> None:
    batch = batch_of(model, TEXTS)
    tokens = int((batch.labels != IGNORED).sum())
    theirs = model.model(input_features=batch.features, labels=batch.labels).loss
    torch.testing.assert_close(model.loss(batch) / tokens, theirs)


def test_padding_counts_for_nothing_though_it_is_the_end_token(model: Whisper) -> None:
    assert model.tokenizer.pad_token_id == model.tokenizer.eos_token_id
    batch = batch_of(model, TEXTS)
    alone = [
        model.loss(
            Batch(
                features=batch.features[row : row + 1],
                labels=batch.labels[row : row + 1, : int((batch.labels[row] != IGNORED).sum())],
            )
        )
        for row in range(len(TEXTS))
    ]
    torch.testing.assert_close(model.loss(batch), torch.stack(alone).sum())
    ends = (batch.labels == model.tokenizer.eos_token_id).sum(dim=1)
    assert ends.tolist() == [1, 1, 1]


def test_gradients_of_one_batch_are_those_of_its_parts(folder: Path, spec: RunSpec) -> None:
    found = []
    for size in (4, 1):
        model = whisper.load(folder, spec, "cpu", torch.float32)
        batch = batch_of(model, (*TEXTS, "όχι"))
        tokens = int((batch.labels != IGNORED).sum())
        for start in range(0, 4, size):
            part = slice(start, start + size)
            loss = model.loss(Batch(features=batch.features[part], labels=batch.labels[part]))
            torch.autograd.backward(loss / tokens)
        found.append([p.grad.clone() for p in model.model.parameters() if p.grad is not None])
    assert found[0]
    for whole, summed in zip(*found, strict=True):
        torch.testing.assert_close(whole, summed, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_transformers(folder: Path, spec: RunSpec, model: Whisper) -> None:
    ours = whisper.load(folder, spec, "cpu", torch.float32)
    theirs = WhisperForConditionalGeneration.from_pretrained(folder)
    batch = batch_of(model, TEXTS)
    tokens = int((batch.labels != IGNORED).sum())
    torch.autograd.backward(ours.loss(batch) / tokens)
    theirs(input_features=batch.features, labels=batch.labels).loss.backward()
    pairs = zip(ours.model.named_parameters(), theirs.named_parameters(), strict=True)
    for (name, own), (other, parameter) in pairs:
        assert name == other
        if own.grad is not None:
            torch.testing.assert_close(own.grad, parameter.grad)


def test_generation_is_told_language_and_task_and_nothing_old(model: Whisper) -> None:
    generation = model.model.generation_config
    assert (generation.language, generation.task) == ("el", "transcribe")
    assert generation.forced_decoder_ids is None
    assert len(model.decode(batch_of(model, TEXTS).features)) == 3


def test_a_monolingual_model_has_no_language_token(
    tmp_path: Path, spec: RunSpec, model: Whisper
) -> None:
    alone = whisper.load(
        make_whisper(tmp_path, languages=()), spec, "cpu", torch.float32, language="en"
    )
    assert [alone.tokenizer.decode(alone.prefix)] == ["<|notimestamps|>"]
    assert len(alone.decode(batch_of(model, TEXTS).features)) == 3


@pytest.mark.parametrize(
    ("language", "words"), [("yue", "whisper-large-v3"), ("zu", "Zulu"), ("sw", "Swahili")]
)
def test_a_language_without_a_token_is_a_usage_error(
    folder: Path, spec: RunSpec, language: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        whisper.load(folder, spec, "cpu", torch.float32, language=language)


def test_a_folder_without_a_model_is_named(tmp_path: Path, spec: RunSpec) -> None:
    with pytest.raises(DataError, match="cannot be read as a Whisper model"):
        whisper.load(tmp_path, spec, "cpu", torch.float32)


def test_options_of_training_reach_the_model(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__freeze_encoder=True, train__dropout=0.3)
    model = whisper.load(tmp_path / "tiny", spec, "cpu", torch.float32, train=spec.train)
    assert not any(p.requires_grad for p in model.model.model.encoder.parameters())
    assert model.model.model.decoder.layers[0].dropout == 0.3
    assert model.model.config.apply_spec_augment


def test_audio_over_the_window_is_refused_and_never_cut(model: Whisper) -> None:
    with pytest.raises(DataError, match=r"2\.00 s is longer than the model's 2 s"):
        model.features(np.zeros(32001, dtype=np.float32))
