"""Which splits have which role, and what is held out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.corpora import splits
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests import builders

BOTH = ("train", "test")
SENTENCES = st.lists(st.text("abcdefgh", min_size=1, max_size=3), max_size=300)


def folder(**changes: Any) -> DataSpec:
    """An audio folder as data: its split `validation` validates."""
    return builders.spec(data={"source": "folder:speech", **changes}).data


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "Dev"])
def test_the_usual_splits_are_found_by_any_of_their_names(name: str) -> None:
    choice = splits.choose(["training", name, "test"], folder(), wanted=BOTH)
    assert choice.roles == {"train": ("training",), "validation": (name,), "test": ("test",)}


def test_without_a_split_for_it_validation_is_held_out() -> None:
    choice = splits.choose(["train", "test"], folder(), wanted=BOTH)
    assert choice.validation == ""


def test_training_splits_are_joined_by_a_plus() -> None:
    data = folder(train_split="train + other")
    choice = splits.choose(["train", "other", "test"], data, wanted=BOTH)
    assert choice.train == ("train", "other")


def test_a_split_that_is_named_for_validation_is_not_trained_on() -> None:
    # All of FLEURS but its test split trains, unless somebody says otherwise.
    existing = ["train", "validation", "test"]
    usual = splits.choose(existing, DataSpec(), wanted=BOTH)
    assert usual.roles == {"train": ("train", "validation"), "test": ("test",)}
    data = DataSpec(validation_split="validation")
    choice = splits.choose(existing, data, wanted=BOTH)
    assert choice.roles == {"train": ("train",), "validation": ("validation",), "test": ("test",)}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (folder(train_split="train+train"), "data.train_split"),
        (folder(train_split="train+"), "data.train_split"),
        (folder(train_split="train+test"), "data.test_split"),
        (folder(train_split="dev", validation_split="dev"), "data.validation_split"),
        (folder(validation_split="test"), "data.test_split"),
        (folder(test_split="train", train_split="train"), "data.test_split"),
    ],
)
def test_a_split_with_two_roles_is_refused(data: DataSpec, field: str) -> None:
    with pytest.raises(SpecError) as caught:
        splits.choose(["train", "dev", "test"], data, wanted=BOTH)
    assert caught.value.field == field


def test_a_run_needs_the_test_split_alone_of_languages_that_it_does_not_train() -> None:
    english = {"evaluate__languages": ["en"]}
    spec = builders.spec(**english)
    assert splits.wanted(spec, "el") == ("train",)
    assert splits.wanted(spec, "en") == ("test",)
    assert splits.wanted(builders.spec(**english, task="evaluate"), "el") == ()
    assert splits.wanted(builders.spec(), "el") == ("train", "test")


@given(SENTENCES, st.floats(0, 1))
def test_what_is_held_out_is_some_but_never_all(sentences: list[str], share: float) -> None:
    held = splits.hold_out(sentences, share)
    assert held <= set(sentences)
    if share > 0 and len(set(sentences)) > 1:
        assert 1 <= len(held) < len(set(sentences))
    else:
        assert not held


@given(SENTENCES, st.floats(0, 1), st.randoms(use_true_random=False))
def test_what_is_held_out_does_not_depend_on_order(
    sentences: list[str], share: float, rng: random.Random
) -> None:
    shuffled = list(sentences)
    rng.shuffle(shuffled)
    assert splits.hold_out(shuffled, share) == splits.hold_out(sentences, share)


@given(st.lists(st.integers(1, 2500), min_size=2, max_size=8), st.floats(0.01, 1))
def test_at_most_a_thousand_utterances_are_held_out(counts: list[int], share: float) -> None:
    sentences = [str(one) for one, count in enumerate(counts) for _ in range(count)]
    held = splits.hold_out(sentences, share)
    total = sum(counts[int(one)] for one in held)
    assert total <= splits.LARGEST_HOLDOUT or total == min(counts)


def test_a_holdout_takes_the_share_of_sentences_that_was_asked_for() -> None:
    sentences = [str(number) for number in range(2000)]
    assert len(splits.hold_out(sentences, 0.05)) == 100


def test_more_sentences_change_little_of_what_is_held_out() -> None:
    before = splits.hold_out([str(n) for n in range(1000)], 0.1)
    after = splits.hold_out([str(n) for n in range(1010)], 0.1)
    assert len(before & after) >= 95


def test_case_punctuation_and_spacing_make_no_other_sentence() -> None:
    assert splits.sentence(" Ναι,  όχι! ") == splits.sentence("ναι όχι")
    assert splits.sentence("...") == "..."


@pytest.mark.parametrize(
    ("existing", "data", "told"),
    [
        (["test"], {}, "there is no split 'train'. Those that exist: test."),
        (
            ["train", "validation", "test"],
            {"test_split": "train"},
            "no split is left to train on: 'train' is the test split. Those that exist: test, "
            "train, validation. Name the one to train on with --set data.train_split=NAME.",
        ),
        (
            ["training", "test"],
            {"validation_split": "training"},
            "no split is left to train on: 'training' is the validation split. Those that exist: "
            "test, training.",
        ),
        (
            ["other", "test"],
            {},
            "there is no split 'train'. Those that exist: other, test. Name the one to train on "
            "with --set data.train_split=NAME.",
        ),
    ],
)
def test_a_source_without_a_split_to_train_on_is_refused_with_what_is_so(
    existing: list[str], data: dict[str, str], told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        splits.choose(existing, folder(**data), wanted=BOTH)
    assert str(caught.value) == f"data.train_split: {told}"


def test_of_very_many_splits_some_are_listed_and_the_others_counted() -> None:
    with pytest.raises(SpecError, match=r"p10, p11, .* and 8 more\."):
        splits.choose([f"p{n}" for n in range(10, 30)], folder(), wanted=BOTH)


@given(SENTENCES, st.floats(0, 1))
def test_what_is_held_out_shares_no_sentence_with_what_trains(
    sentences: list[str], share: float
) -> None:
    train, held = splits.held_out(range(len(sentences)), sentences, share)
    assert sorted([*train, *held]) == list(range(len(sentences)))
    assert not {sentences[at] for at in train} & {sentences[at] for at in held}


def test_a_transcript_without_a_sentence_is_never_held_out() -> None:
    train, held = splits.held_out("abcd", ["", "", "one", "two"], 1.0)
    assert train[:2] == ["a", "b"]
    assert len(held) == 1
