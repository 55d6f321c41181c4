"""Packing loses no clip, keeps the limits of a window, mixes no company, and fills windows."""

from __future__ import annotations

import time
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.models.base import Unit
from jobrunner.core.models.windows import Limits, Measure, Pack, WindowPacking
from jobrunner.spec import TrainSpec
from tests.harness.windows import (
    LIMITS,
    SILENCE,
    Row,
    fits_seconds,
    measures_of,
    packing_of,
    rows,
    tokens_of,
)

RATE = 16_000


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(
    rows=rows,
    share=st.sampled_from([0.0, 0.5, 1.0]),
    pack=st.sampled_from(["language", "speaker", "none"]),
    timed=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_each_clip_is_in_one_window_within_the_limits_and_among_its_own(
    rows: list[Row], share: float, pack: Pack, timed: float, seed: int
) -> None:
    measures = measures_of(rows)
    packing = packing_of(measures, pack=pack, pack_probability=share, timed_share=timed)
    units = packing.pack(random(seed))
    assert sorted(clip for unit in units for clip in unit.clips) == list(range(len(rows)))
    for unit in units:
        held = [measures[clip] for clip in unit.clips]
        assert unit.samples == sum(each.samples for each in held)
        padded = unit.samples + SILENCE * (len(held) - 1)
        fitting = [bucket for bucket in LIMITS.buckets if bucket >= padded]
        assert unit.shape == (fitting[0] if len(held) > 1 else LIMITS.samples)
        assert unit.weight == unit.size == tokens_of(measures, unit)
        assert unit.size <= LIMITS.tokens
        assert timed > 0 or not unit.timed
        if len(held) > 1:
            assert share > 0
            assert pack != "none"
            assert len({each.company for each in held} - {None}) == 1
            speakers = {each.speaker for each in held}
            assert pack == "language" or (len(speakers) == 1 and "" not in speakers)


@given(rows=rows, seed=st.integers(0, 2**32), timed=st.sampled_from([0.0, 0.5]))
def test_a_packing_is_a_function_of_the_generator_alone(
    rows: list[Row], seed: int, timed: float
) -> None:
    first, second = (
        packing_of(measures_of(rows), timed_share=timed).pack(random(seed)) for _ in range(2)
    )
    assert first == second


def test_packing_fills_windows_with_one_company() -> None:
    measures = measures_of([(150, 5, 0, "a")] * 40 + [(150, 5, 0, "b")] * 40)
    units = packing_of(measures).pack(random())
    # 4 clips and 3 silences of 100 samples; a fifth would be over the 1,000 of a window.
    assert sorted(len(unit.clips) for unit in units) == [4] * 20


def test_languages_and_tasks_of_one_speaker_are_companies_of_their_own() -> None:
    companies = [(code, task) for code in ("el", "en") for task in ("transcribe", "translate")]
    measures = measures_of(
        [(100, 2, 0, company, "anna") for company in companies for _ in range(20)]
    )
    for unit in packing_of(measures).pack(random()):
        assert len({measures[clip].company for clip in unit.clips}) == 1


def test_a_speaker_keeps_the_windows_that_are_full_and_shares_the_rest() -> None:
    # Of each speaker 4 clips fill a window and one is left.
    measures = measures_of([(175, 5, 0, "el", name) for name in "abcd" for _ in range(5)])
    by_speaker = [
        sorted("".join(measures[clip].speaker for clip in unit.clips))
        for unit in packing_of(measures).pack(random())
    ]
    assert sorted(by_speaker) == sorted([list("abcd"), *([name] * 4 for name in "abcd")])


def test_texts_that_fill_the_decoder_open_another_window() -> None:
    measures = measures_of([(10, 28, 0, "el")] * 10)
    assert [len(unit.clips) for unit in packing_of(measures).pack(random())] == [2] * 5


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_the_share_of_windows_that_may_hold_several_counts_windows(share: float) -> None:
    lengths = random().integers(50, 400, 5000)
    measures = measures_of([(int(length), 5, 0, "el") for length in lengths])
    units = packing_of(measures, pack_probability=share).pack(random())
    single = sum(len(unit.clips) == 1 for unit in units) / len(units)
    assert single == pytest.approx(1.0 - share, abs=0.02)


def test_other_clips_meet_in_each_epoch() -> None:
    measures = measures_of([(int(n), 5, 0, "el") for n in random().integers(50, 400, 500)])
    packing = packing_of(measures)
    first, second = ({frozenset(u.clips) for u in packing.pack(random(n))} for n in (0, 1))
    # With the longest clip first and nothing random, all of them come again.
    assert len(first & second) < 0.3 * len(first)


@given(units=st.integers(1, 100), at_once=st.integers(1, 12))
def test_micro_batches_keep_the_order_and_fit_the_device(units: int, at_once: int) -> None:
    packing = packing_of(measures_of([(600, 5, 0, None)] * units), device_seconds=float(at_once))
    made = packing.pack(random())
    parts = packing.split(made)
    assert [unit for part in parts for unit in part] == made
    assert all(1 <= len(part) <= at_once for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(rows=rows, device_seconds=st.floats(0.1, 10.0))
def test_a_micro_batch_has_one_bucket_and_fits_the_device(
    rows: list[Row], device_seconds: float
) -> None:
    packing = packing_of(measures_of(rows), device_seconds=device_seconds)
    made = sorted(packing.pack(random()), key=lambda unit: -unit.shape)
    parts = packing.split(made)
    assert [unit for part in parts for unit in part] == made
    for part in parts:
        assert len({unit.shape for unit in part}) == 1
        assert len(part) == 1 or packing.cost(part) <= device_seconds + 1e-9
    # As few as can be.
    for _, own in groupby(parts, key=lambda part: part[0].shape):
        together = [unit for part in own for unit in part]
        most = max(1, int(device_seconds * 1000 / together[0].shape))
        assert len(packing.split(together)) == -(-len(together) // most)


def test_what_fits_is_asked_of_windows_samples_and_tokens() -> None:
    asked = []

    def fits(windows: int, samples: int, tokens: int) -> bool:
        asked.append((windows, samples, tokens))
        return windows * tokens <= 50

    measures = measures_of([(900, tokens, 0, None) for tokens in (40, 10, 20, 16)])
    packing = WindowPacking(measures, LIMITS, rate=1000, fits=fits, pack_probability=1.0)
    made = sorted(packing.pack(random()), key=lambda unit: -unit.size)
    assert [[unit.size for unit in part] for part in packing.split(made)] == [[44], [24, 20], [14]]
    assert asked[0] == (4, 1000, 44)


def test_a_window_costs_as_much_as_the_bucket_that_it_is_cropped_to() -> None:
    # Two clips each, with a tenth of a second between them.
    pairs = ((35, 35), (36, 35), (200, 200), (201, 200))
    rows = [(clip, 1, 0, str(pair)) for pair in pairs for clip in pair]
    packing = packing_of(measures_of(rows))
    assert LIMITS.buckets == (170, 340, 500, 1000)
    assert packing.cost(packing.pack(random())) == pytest.approx(0.17 + 0.34 + 0.5 + 1.0)


def test_a_clip_alone_has_a_whole_window() -> None:
    packing = packing_of(measures_of([(n, 1, 0, None) for n in (1, 170, 501)]))
    assert {unit.shape for unit in packing.pack(random())} == {1000}


def test_buckets_of_whisper_are_whole_positions_of_its_encoder() -> None:
    for seconds in (3, 10, 30):
        limits = Limits(samples=seconds * RATE, tokens=448, overhead_tokens=4, grain=320)
        assert all(bucket % 320 == 0 for bucket in limits.buckets)
        assert limits.buckets[-1] == limits.samples
    assert [bucket / RATE for bucket in limits.buckets] == [5.0, 10.0, 15.0, 30.0]


@pytest.mark.parametrize("seconds", [0.1, 0.9])
def test_a_device_takes_one_window_at_least(seconds: float) -> None:
    packing = packing_of(measures_of([(600, 5, 0, None)] * 4), device_seconds=seconds)
    assert [len(part) for part in packing.split(packing.pack(random()))] == [1] * 4


def corpus(name: str, clips: int) -> list[Measure]:
    """Clips with the lengths and speakers of a corpus, and 7 tokens of text a second.

    FLEURS: 11.5 s on average, 4 to 29 s, speakers unknown. Common Voice: a gamma distribution
    around 5.3 s, 1 to 15 s, and speakers of whom few have most of the clips (Zipf).
    """
    chance = random()
    shape, mean, least, most = {"FLEURS": (7, 11.4, 4, 29), "Common Voice": (6, 5.3, 1, 15)}[name]
    seconds = chance.gamma(shape, mean / shape, 2 * clips)
    seconds = seconds[(seconds >= least) & (seconds <= most)][:clips]
    odds = 1 / np.arange(1, clips // 20 + 1)
    speakers = chance.choice(len(odds), clips, p=odds / odds.sum()).tolist()
    return [
        Measure(
            samples=round(length * RATE),
            first_tokens=round(length * 7),
            next_tokens=round(length * 7),
            company=("el", "transcribe"),
            speaker="" if name == "FLEURS" else str(speaker),
        )
        for length, speaker in zip(seconds.tolist(), speakers, strict=True)
    ]


def packed_by_default(measures: list[Measure], **changes: Any) -> tuple[WindowPacking, list[Unit]]:
    """The windows of whisper's 30 s that the default options make."""
    train = TrainSpec()
    limits = Limits(samples=30 * RATE, tokens=448, overhead_tokens=4, grain=320)
    options = {"pack": train.pack, "pack_probability": train.pack_probability, **changes}
    packing = WindowPacking(measures, limits, rate=RATE, fits=fits_seconds(480.0, RATE), **options)
    return packing, packing.pack(random(1))


@pytest.mark.parametrize("name", ["FLEURS", "Common Voice"])
def test_default_options_fill_at_least_92_percent_of_a_window(name: str) -> None:
    measures = corpus(name, 3000)
    mean = sum(each.samples for each in measures) / len(measures) / RATE
    assert mean == pytest.approx({"FLEURS": 11.5, "Common Voice": 5.3}[name], abs=0.15)
    packing, units = packed_by_default(measures)
    seconds = sum(unit.samples for unit in units) / RATE
    fill, uncropped = seconds / packing.cost(units), seconds / (30 * len(units))
    message = f"{name}: {fill:.1%} of a window is filled, {uncropped:.1%} without cropping"
    assert fill >= 0.92, message
    assert uncropped >= 0.88, message


def test_packing_a_hundred_thousand_clips_takes_seconds() -> None:
    measures = corpus("Common Voice", 100_000)
    started = time.process_time()
    _, units = packed_by_default(measures)
    took = time.process_time() - started
    assert sum(len(unit.clips) for unit in units) == 100_000
    assert took < 8.0, f"{took:.1f} s"
