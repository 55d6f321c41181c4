"""Error rates equal jiwer's, and their intervals behave as intervals must."""

from __future__ import annotations

import json
import random
from typing import Literal

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner.errors import DataError
from jobrunner.scoring.intervals import FEWEST_SPEAKERS
from jobrunner.scoring.metrics import METRICS, RATES
from jobrunner.scoring.rates import Scores, paired_difference, score
from jobrunner.scoring.text import WAYS

HINDI = ("मैं हिन्दी में बात करता हूँ।", "मै हिंदी मे बात करता हूँ।")
WORDS = st.text(alphabet="aábc ", min_size=1, max_size=20).filter(str.strip)
PAIRS = st.lists(st.tuples(WORDS, st.text(alphabet="aábc ", max_size=20)), min_size=1, max_size=30)


def corpus(utterances: int, error: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """References of ten words, and hypotheses in which a share of the words is wrong."""
    draw = random.Random(seed)
    references = [" ".join(draw.choices("abcdefgh", k=10)) for _ in range(utterances)]
    hypotheses = [
        " ".join("x" if draw.random() < error else word for word in text.split())
        for text in references
    ]
    return references, hypotheses


def test_a_hindi_pair_scores_by_three_ways() -> None:
    scores = score([HINDI[0]], [HINDI[1]])
    assert scores.rates["wer"]["raw"].value == pytest.approx(0.5)
    assert scores.rates["wer"]["marks"].value == pytest.approx(0.5)
    # The vowel signs that are wrong are gone, and 6 words have become 9 pieces.
    assert scores.rates["wer"]["basic"].value == pytest.approx(1 / 9)
    assert scores.lead == scores.rates["wer"]["marks"]


@given(PAIRS)
@settings(deadline=None)
def test_rates_equal_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    references = [" ".join(said.split()) for said, _ in pairs]
    hypotheses = [" ".join(written.split()) for _, written in pairs]
    scores = score(references, hypotheses)
    assert scores.rates["wer"]["raw"].value == pytest.approx(jiwer.wer(references, hypotheses))
    assert scores.rates["cer"]["raw"].value == pytest.approx(jiwer.cer(references, hypotheses))
    rate = scores.rates["wer"]["raw"]
    assert rate.value == (rate.substitutions + rate.deletions + rate.insertions) / rate.length


@given(PAIRS)
@settings(deadline=None)
def test_every_interval_contains_its_value(pairs: list[tuple[str, str]]) -> None:
    scores = score(*map(list, zip(*pairs, strict=True)))
    found = [rate for ways in scores.rates.values() for rate in ways.values()]
    assert len(found) == 6
    for rate in found:
        assert rate.low - 1e-12 <= rate.value <= rate.high + 1e-12


@given(st.lists(WORDS, min_size=1, max_size=20))
@settings(deadline=None)
def test_identical_texts_score_zero(texts: list[str]) -> None:
    scores = score(texts, texts)
    assert scores.lead.value == scores.lead.low == scores.lead.high == 0
    assert scores.rates["cer"]["basic"].value == 0


@given(PAIRS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_utterances_makes_no_difference(
    pairs: list[tuple[str, str]], draw: random.Random
) -> None:
    shuffled = draw.sample(pairs, len(pairs))
    first, second = (score(*map(list, zip(*some, strict=True))) for some in (pairs, shuffled))
    assert first.rates == second.rates


def test_the_interval_covers_the_true_rate_about_95_times_in_100() -> None:
    covered = 0
    for seed in range(200):
        lead = score(*corpus(60, 0.2, seed)).lead
        covered += lead.low <= 0.2 <= lead.high
    # 190 expected, standard deviation 3.1.
    assert 178 <= covered <= 199


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    references, hypotheses = corpus(50, 0.2)
    once, again, other = (score(references, hypotheses, seed=seed) for seed in (1, 1, 2))
    assert once == again
    assert once.lead.value == other.lead.value
    assert once.lead.low != other.lead.low


def test_empty_references_are_counted_apart_and_empty_hypotheses_too() -> None:
    scores = score(["a b", "", " . ", "[noise]", "c"], ["a b", "x y", "x", "x", "…"])
    assert scores.utterances == 2
    assert scores.empty_references == 3
    assert scores.empty_hypotheses == 1
    assert scores.rates["wer"]["marks"].value == pytest.approx(1 / 3)


def test_a_test_set_without_text_is_a_data_error() -> None:
    with pytest.raises(DataError, match="None of 2 utterances"):
        score(["", "…"], ["a", "b"])


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        score(["a"], ["a", "b"])


def test_without_spaces_the_character_error_rate_leads_and_ignores_white_space() -> None:
    scores = score(["สวัสดี ชาวโลก"], ["สวัสดีชาวโลก"], unit="characters")
    assert scores.metric is METRICS["cer"]
    assert scores.lead == scores.rates["cer"]["marks"]
    assert scores.lead.value == 0
    assert scores.rates["wer"]["marks"].value == 1
    assert scores.rates["cer"]["raw"].value > 0


def test_speakers_are_resampled_whole_when_there_are_enough() -> None:
    references, hypotheses = corpus(200, 0.0)
    # Half of the speakers are understood and half are not: 20 independent facts, not 200.
    hypotheses = [text if i // 10 % 2 else "x " * 10 for i, text in enumerate(hypotheses)]
    speakers = [f"speaker {i // 10}" for i in range(200)]
    alone = score(references, hypotheses)
    together = score(references, hypotheses, speakers=speakers)
    assert (together.resampled, together.clusters) == ("speakers", 20)
    assert (alone.resampled, alone.clusters) == ("utterances", 200)
    assert together.lead.value == alone.lead.value
    assert together.lead.high - together.lead.low > 2 * (alone.lead.high - alone.lead.low)


def test_too_few_speakers_leave_the_utterances_to_resample() -> None:
    references, hypotheses = corpus(40, 0.3)
    speakers = [str(i % (FEWEST_SPEAKERS - 1)) for i in range(40)]
    scores = score(references, hypotheses, speakers=speakers)
    assert scores.resampled == "utterances"
    assert scores.lead.low < scores.lead.high


def test_unknown_speakers_are_not_taken_for_one() -> None:
    references, hypotheses = corpus(40, 0.3)
    speakers = ["" if i < 20 else f"speaker {i // 2}" for i in range(40)]
    assert score(references, hypotheses, speakers=speakers).clusters == 30


def test_a_clear_improvement_is_significant_and_none_is_not() -> None:
    references, bad = corpus(100, 0.5)
    good = [
        " ".join(
            word if i % 3 else said
            for i, (said, word) in enumerate(zip(a.split(), b.split(), strict=True))
        )
        for a, b in zip(references, bad, strict=True)
    ]
    base, tuned = score(references, bad), score(references, good)
    better = paired_difference(base, tuned)
    assert better.significant
    assert better.value == pytest.approx(tuned.lead.value - base.lead.value)
    assert better.low <= better.value <= better.high < 0
    assert better.improved == 1
    same = paired_difference(base, base)
    assert not same.significant
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_paired_interval_is_narrower_than_the_two_apart() -> None:
    references, bad = corpus(100, 0.4)
    good = [b if i % 5 else a for i, (a, b) in enumerate(zip(references, bad, strict=True))]
    base, tuned = score(references, bad), score(references, good)
    change = paired_difference(base, tuned)
    assert change.high - change.low < base.lead.high - base.lead.low + (
        tuned.lead.high - tuned.lead.low
    )


def test_results_of_different_utterances_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same utterances"):
        paired_difference(score(["a b"], ["a"]), score(["a"], ["a"]))


def test_scores_survive_json() -> None:
    scores = score(*corpus(20, 0.3))
    assert Scores.model_validate_json(scores.model_dump_json()) == scores


def test_every_rate_is_given_by_metric_and_way() -> None:
    scores = score(*corpus(20, 0.3))
    assert list(scores.rates) == [metric.name for metric in RATES]
    for metric in RATES:
        assert list(scores.rates[metric.name]) == [way.name for way in WAYS]
        for way in WAYS:
            assert scores.rate(metric, way) == scores.rates[metric.name][way.name]
    assert scores.rate(scores.metric) == scores.lead
    assert scores.rate(METRICS["loss"]) is None


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_scores_of_version_1_are_read(unit: Literal["words", "characters"]) -> None:
    scores = score(*corpus(20, 0.3), unit=unit)
    first = json.loads(scores.model_dump_json())
    # Version 1 had a field for each of its two metrics.
    first |= first.pop("rates")
    assert {"wer", "cer"} <= first.keys()
    assert Scores.model_validate_json(json.dumps(first)) == scores


def test_scores_from_before_a_metric_was_known_lack_it() -> None:
    scores = score(*corpus(20, 0.3))
    older = scores.model_copy(update={"rates": {"wer": scores.rates["wer"]}})
    assert older.rate(METRICS["cer"]) is None
    assert older.lead == scores.lead
