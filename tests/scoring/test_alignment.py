"""An alignment has the fewest errors, and loses no word of either text."""

from __future__ import annotations

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.scoring.alignment import align, errors

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def test_each_kind_of_error_stands_where_it_is() -> None:
    pairs = align(["the", "cat", "sat", "on", "it"], ["the", "dog", "sat", "down", "on"])
    assert [(pair.kind, pair.reference, pair.hypothesis) for pair in pairs] == [
        ("equal", "the", "the"),
        ("substitution", "cat", "dog"),
        ("equal", "sat", "sat"),
        ("insertion", "", "down"),
        ("equal", "on", "on"),
        ("deletion", "it", ""),
    ]
    assert errors(pairs) == 3


def test_of_equally_few_errors_those_that_leave_more_words_equal_are_taken() -> None:
    kinds = [pair.kind for pair in align(["on", "it"], ["down", "on"])]
    assert kinds == ["insertion", "equal", "deletion"]


def test_an_empty_side_leaves_only_deletions_or_insertions() -> None:
    assert [pair.kind for pair in align(["a", "b"], [])] == ["deletion"] * 2
    assert [pair.kind for pair in align([], ["a", "b"])] == ["insertion"] * 2
    assert align([], []) == []


@given(WORDS.filter(bool), WORDS)
def test_it_has_as_many_errors_as_the_rates_count(reference: list[str], written: list[str]) -> None:
    pairs = align(reference, written)
    assert [pair.reference for pair in pairs if pair.kind != "insertion"] == reference
    assert [pair.hypothesis for pair in pairs if pair.kind != "deletion"] == written
    counted = jiwer.process_words(" ".join(reference), " ".join(written))
    found = counted.substitutions + counted.deletions + counted.insertions
    assert errors(pairs) == found
