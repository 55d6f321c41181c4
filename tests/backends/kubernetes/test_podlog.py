"""A log over connections that break: whatever is repeated, each line is given once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobrunner.backends.kubernetes.podlog import Position

# Lines come in bursts with one and the same time; the node counts nanoseconds.
TIMES = st.lists(st.integers(0, 12), min_size=1, max_size=40).map(sorted)


@given(times=TIMES, breaks=st.lists(st.integers(0, 40), max_size=5))
def test_no_line_is_lost_or_doubled_however_often_the_connection_breaks(
    times: list[int], breaks: list[int]
) -> None:
    # Four times a second, so that a second holds several of them.
    log = [
        (f"2026-11-20T12:00:{when // 4:02d}.{when % 4 * 250_000_000:09d}Z", f"line {number}")
        for number, when in enumerate(times)
    ]
    position = Position()
    given_lines = []
    for end in [*sorted(breaks), len(log)]:
        position.connected()
        since = position.time[:19]
        for stamp, text in log[:end]:
            # What the kubelet sends for sinceTime: everything from that whole second on.
            if stamp[:19] >= since and position.take(stamp):
                given_lines.append(text)

    assert given_lines == [text for _, text in log]
