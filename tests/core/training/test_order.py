"""The order of the data: complete, within its limits, and a function of seed and epoch alone."""

from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.training.order import Clips, Limits, Order, Ragged, Step, Window, share

LIMITS = Limits(samples=1000, tokens=60, overhead_tokens=4)

one_clip = st.tuples(
    st.integers(1, 1000), st.integers(1, 56), st.integers(0, 1), st.sampled_from(["", "a", "b"])
)


def clips_of(rows: list[tuple[int, int, int, str]]) -> Clips:
    return Clips(
        samples=[samples for samples, _, _, _ in rows],
        first_tokens=[tokens for _, tokens, _, _ in rows],
        next_tokens=[tokens + more for _, tokens, more, _ in rows],
        speakers=[speaker for _, _, _, speaker in rows],
    )


def order_of(clips: Clips, *, batch: int = 3000, pack: float = 1.0, seed: int = 0) -> Order:
    return Order(clips, LIMITS, batch_samples=batch, pack_probability=pack, seed=seed)


def tokens_of(clips: Clips, window: Window) -> int:
    following = sum(clips.next_tokens[clip] for clip in window[1:])
    return LIMITS.overhead_tokens + clips.first_tokens[window[0]] + following


@given(
    rows=st.lists(one_clip, min_size=1, max_size=60),
    batch=st.integers(1, 8000),
    pack=st.sampled_from([0.0, 0.5, 1.0]),
    epoch=st.integers(0, 3),
)
def test_an_epoch_holds_each_clip_once_in_windows_within_the_limits(
    rows: list[tuple[int, int, int, str]], batch: int, pack: float, epoch: int
) -> None:
    clips = clips_of(rows)
    steps = order_of(clips, batch=batch, pack=pack).epoch(epoch)
    windows = [window for step in steps for window in step.windows]
    assert sorted(clip for window in windows for clip in window) == list(range(len(rows)))
    for window in windows:
        assert sum(clips.samples[clip] for clip in window) <= LIMITS.samples
        assert tokens_of(clips, window) <= LIMITS.tokens
        speakers = {clips.speakers[clip] for clip in window}
        assert len(window) == 1 or (len(speakers) == 1 and "" not in speakers and pack > 0)
    assert [step.index for step in steps] == list(range(len(steps)))
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    for step in steps:
        assert step.windows
        assert step.samples == sum(clips.samples[c] for window in step.windows for c in window)
        assert step.tokens == sum(tokens_of(clips, window) for window in step.windows)
        # Audio is shared out evenly, give or take half a window at each end.
        assert step.samples <= batch + LIMITS.samples


@given(st.integers(0, 2**53), st.integers(0, 1000), st.integers(0, 1000))
def test_going_on_from_any_position_gives_the_steps_that_would_have_come(
    seed: int, epoch: int, skipped: int
) -> None:
    clips = clips_of([(300, 5, 0, "a")] * 40)
    skipped %= len(order_of(clips, seed=seed).epoch(epoch))
    whole = list(islice(order_of(clips, seed=seed).steps(epoch, 0), skipped + 7))
    assert list(islice(order_of(clips, seed=seed).steps(epoch, skipped), 7)) == whole[skipped:]


def test_epochs_and_seeds_differ_in_order() -> None:
    clips = clips_of([(300, 5, 0, "a")] * 40)
    orders = [
        tuple(step.windows for step in order_of(clips, seed=seed).epoch(epoch))
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


def test_packing_fills_windows_with_one_speaker() -> None:
    clips = clips_of([(150, 5, 0, "a")] * 30 + [(150, 5, 0, "b")] * 30)
    windows = [window for step in order_of(clips).epoch(0) for window in step.windows]
    assert sorted(map(len, windows)) == [6] * 10


def test_steps_of_an_epoch_hold_nearly_the_same_audio() -> None:
    random = np.random.default_rng(0)
    clips = clips_of([(int(n), 5, 0, "a") for n in random.integers(100, 600, 500)])
    lengths = [step.samples for step in order_of(clips, batch=10_000).epoch(0)]
    assert max(lengths) - min(lengths) <= 2 * LIMITS.samples
    assert 9_000 <= np.mean(lengths) <= 10_000


@given(windows=st.integers(1, 40), ranks=st.integers(1, 8), at_once=st.integers(1, 10))
def test_ranks_share_a_step_between_them(windows: int, ranks: int, at_once: int) -> None:
    step = Step(
        epoch=0,
        index=0,
        last=False,
        windows=tuple((number,) for number in range(windows)),
        samples=1,
        tokens=1,
    )
    shares = [share(step, rank=r, ranks=ranks, windows_at_once=at_once) for r in range(ranks)]
    taken = [window for own in shares for micro in own if micro.counts for window in micro.windows]
    assert sorted(taken) == list(step.windows)
    for own in shares:
        assert [micro.last for micro in own] == [False] * (len(own) - 1) + [True]
        assert all(1 <= len(micro.windows) <= at_once for micro in own)
        sizes = [len(micro.windows) for micro in own]
        assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.lists(st.integers(0, 2**31 - 1))))
def test_lists_of_ids_come_back_from_flat_arrays(rows: list[list[int]]) -> None:
    flat = Ragged(rows)
    assert len(flat) == len(rows)
    assert [flat[row].tolist() for row in range(len(rows))] == rows
    assert flat.lengths() == [len(row) for row in rows]
