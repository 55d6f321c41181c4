"""Loss, gradients and texts are those of transformers, without its traps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import Whisper, repeats
from jobrunner.core.models.whisper_decode import Heard
from jobrunner.core.models.whisper_recipe import IGNORED, WindowBatch
from jobrunner.errors import DataError, UsageError
from jobrunner.spec import RunSpec
from tests import builders
from tests.harness.tiny import make_run, make_whisper
from tests.harness.utterances import utterance

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


def batch_of(model: Whisper, texts: tuple[str, ...]) -> WindowBatch:
    random = np.random.default_rng(0)
    audio = [random.standard_normal(9000 + 900 * n).astype(np.float32) for n in range(len(texts))]
    items = [
        model.recipe.item([utterance(text)], [sound])
        for text, sound in zip(texts, audio, strict=True)
    ]
    return model.recipe.collate(items)


def heard(batch: WindowBatch) -> Heard:
    """The windows of a batch as decoding hears them, of any length."""
    return Heard(features=batch.features, seconds=(60.0,) * len(batch.features))


def part_of(batch: WindowBatch, rows: slice, tokens: int | None = None) -> WindowBatch:
    """Some windows of a batch, and so many tokens of them."""
    return WindowBatch(
        features=batch.features[rows],
        inputs=batch.inputs[rows, :tokens],
        labels=batch.labels[rows, :tokens],
        heard=batch.heard[rows],
        weight=0,
    )


def test_the_loss_is_that_of_transformers(model: Whisper) -> None:
    batch = batch_of(model, TEXTS)
    assert batch.weight == int((batch.labels != IGNORED).sum())
    theirs = model.module(input_features=batch.features, labels=batch.labels).loss
    torch.testing.assert_close(model.loss(batch) / batch.weight, theirs)


def test_padding_counts_for_nothing_though_it_is_the_end_token(model: Whisper) -> None:
    assert model.tokenizer.pad_token_id == model.tokenizer.eos_token_id
    batch = batch_of(model, TEXTS)
    alone = [
        model.loss(part_of(batch, slice(row, row + 1), int((batch.labels[row] != IGNORED).sum())))
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
        for start in range(0, 4, size):
            loss = model.loss(part_of(batch, slice(start, start + size)))
            torch.autograd.backward(loss / batch.weight)
        found.append([p.grad.clone() for p in model.module.parameters() if p.grad is not None])
    assert found[0]
    for whole, summed in zip(*found, strict=True):
        torch.testing.assert_close(whole, summed, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_transformers(folder: Path, spec: RunSpec, model: Whisper) -> None:
    ours = whisper.load(folder, spec, "cpu", torch.float32)
    theirs = WhisperForConditionalGeneration.from_pretrained(folder)
    batch = batch_of(model, TEXTS)
    torch.autograd.backward(ours.loss(batch) / batch.weight)
    theirs(input_features=batch.features, labels=batch.labels).loss.backward()
    pairs = zip(ours.module.named_parameters(), theirs.named_parameters(), strict=True)
    for (name, own), (other, parameter) in pairs:
        assert name == other
        if own.grad is not None:
            torch.testing.assert_close(own.grad, parameter.grad)


def test_generation_is_told_language_and_task_and_nothing_old(model: Whisper) -> None:
    generation = model.module.generation_config
    assert (generation.language, generation.task) == ("el", "transcribe")
    assert generation.forced_decoder_ids is None
    assert len(model.decode(heard(batch_of(model, TEXTS)))) == 3


def test_a_monolingual_model_has_no_language_token(
    tmp_path: Path, spec: RunSpec, model: Whisper
) -> None:
    alone = whisper.load(
        make_whisper(tmp_path, languages=()), spec, "cpu", torch.float32, language="en"
    )
    head = alone.recipe.head("en", "transcribe")
    assert [alone.tokenizer.decode(head)] == ["<|notimestamps|>"]
    assert len(alone.decode(heard(batch_of(model, TEXTS)))) == 3


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


@pytest.mark.parametrize("size", [0, 5, 20, 5000])
def test_weights_that_are_cut_off_are_named(tmp_path: Path, spec: RunSpec, size: int) -> None:
    folder = make_whisper(tmp_path / "cut")
    os.truncate(folder / "model.safetensors", size)
    with pytest.raises(DataError, match="cannot be read as a Whisper model"):
        whisper.load(folder, spec, "cpu", torch.float32)


def test_options_of_training_reach_the_model(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__freeze_encoder=True, train__dropout=0.3)
    model = whisper.load(tmp_path / "tiny", spec, "cpu", torch.float32, train=spec.train)
    assert not any(p.requires_grad for p in model.module.model.encoder.parameters())
    assert model.module.model.decoder.layers[0].dropout == 0.3


def test_masks_are_drawn_in_training_alone(tmp_path: Path) -> None:
    spec = make_run(tmp_path, train__dropout=0.0, train__spec_augment=True)
    model = whisper.load(tmp_path / "tiny", spec, "cpu", torch.float32, train=spec.train)
    unmasked = whisper.load(tmp_path / "tiny", spec, "cpu", torch.float32)
    batch = batch_of(model, TEXTS)
    before = batch.features.clone()
    torch.manual_seed(0)
    assert torch.equal(model.loss(batch), unmasked.loss(batch))
    model.module.train()
    unmasked.module.train()
    plain = float(unmasked.loss(batch).detach())
    torch.manual_seed(0)
    losses = [float(model.loss(batch).detach()) for _ in range(8)]
    assert len(set(losses) - {plain}) > 1
    torch.manual_seed(0)
    assert [float(model.loss(batch).detach()) for _ in range(8)] == losses
    assert torch.equal(batch.features, before)


def test_a_text_has_the_mean_log_probability_of_its_tokens(model: Whisper) -> None:
    windows = heard(batch_of(model, TEXTS))
    for row, one in enumerate(model.decode(windows)):
        alone = windows[row : row + 1]
        given = model.module.generate(
            alone.features, do_sample=False, return_dict_in_generate=True, output_scores=True
        )
        each = model.module.compute_transition_scores(
            given.sequences, given.scores, normalize_logits=True
        )
        assert model.decode(alone)[0].score == pytest.approx(float(each.mean()), rel=1e-5)
        assert one.score == pytest.approx(float(each.mean()), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "looped"),
    [
        ("", False),
        ("ναι ναι ναι", False),
        ("Τη νύχτα ακούστηκε ένας δυνατός θόρυβος από το λιμάνι.", False),
        ("και μετά " * 20, True),
    ],
)
def test_a_text_that_repeats_itself_is_marked(text: str, looped: bool) -> None:
    assert repeats(text) == looped


def test_weights_that_were_cut_are_an_error_of_one_line(tmp_path: Path) -> None:
    folder = make_whisper(tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    spec = builders.spec(model=str(folder))
    with pytest.raises(DataError, match=r"cannot be read as a Whisper model: .*header"):
        whisper.load(folder, spec, "cpu", torch.float32)


def test_a_device_learns_from_audio_what_it_learns_from_features(
    folder: Path, spec: RunSpec
) -> None:
    losses, gradients = [], []
    for for_device in (False, True):
        model = whisper.load(folder, spec, "cpu", torch.float32)
        model.recipe.for_device = for_device
        # As prepared speech is: of 16 bits.
        sounds = np.random.default_rng(0).integers(-9000, 9000, (3, 9000)).astype(np.float32)
        pairs = zip(TEXTS, sounds / 32768, strict=True)
        batch = model.recipe.collate(
            [model.recipe.item([utterance(text)], [sound]) for text, sound in pairs]
        )
        assert (batch.features.dtype == torch.int16) == for_device
        loss = model.loss(batch.to(torch.device("cpu")))
        torch.autograd.backward(loss)
        losses.append(loss.detach())
        gradients.append(model.module.model.encoder.conv1.weight.grad)
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)
    cpu = whisper.load(folder, spec, "cpu", torch.float32, train=spec.train)
    assert not cpu.recipe.for_device
