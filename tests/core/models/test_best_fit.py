"""Best fit puts a clip where the least room stays, and opens a window only where it must."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.models.best_fit import best_fit


def test_a_clip_goes_where_it_leaves_the_least_room() -> None:
    lengths = [60, 70, 25, 35]
    assert best_fit(lengths, [1] * 4, length=100, most_tokens=10) == [[0, 3], [1, 2]]


def test_a_window_whose_tokens_are_used_up_is_passed_over() -> None:
    assert best_fit([70, 60, 30], [9, 1, 5], length=100, most_tokens=10) == [[0], [1, 2]]


def test_a_clip_with_too_many_tokens_has_a_window_of_its_own() -> None:
    assert best_fit([10, 10, 10], [12, 1, 1], length=100, most_tokens=10) == [[0], [1, 2]]


def test_no_clips_make_no_windows() -> None:
    assert best_fit([], [], length=100, most_tokens=10) == []


@given(
    clips=st.lists(st.tuples(st.integers(1, 100), st.integers(1, 10)), max_size=80),
)
def test_windows_keep_both_limits_and_hold_every_clip(clips: list[tuple[int, int]]) -> None:
    lengths, tokens = [clip[0] for clip in clips], [clip[1] for clip in clips]
    windows = best_fit(lengths, tokens, length=100, most_tokens=10)
    assert sorted(place for window in windows for place in window) == list(range(len(clips)))
    for window in windows:
        assert sum(lengths[place] for place in window) <= 100
        assert sum(tokens[place] for place in window) <= 10
