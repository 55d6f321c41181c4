"""Every hint of the package is followed by a test: the mistake, what the hint says, success.

A new hint is followed in `tests/hints/`, or beside the test of its module: `Case(hint=...)`, or
`hinted(...)` and `assert_hint(...)` with the hint's text, in which `{}` stands for what an f-string
puts in.
"""

from __future__ import annotations

import re
from collections import Counter

from tests.harness.hints import Package, followed
from tests.harness.paths import ROOT


def _is(template: str, quoted: str) -> bool:
    """True if a test's text is a hint, as it is written or as it is printed."""
    template, quoted = template.strip().rstrip("."), quoted.strip().rstrip(".")
    pattern = ".*".join(map(re.escape, template.split("{}")))
    return template == quoted or bool(re.fullmatch(pattern, quoted, re.DOTALL))


# Nothing that a person can put right.
REPORTS = {"The plan of the windows should have left it out: report this as a bug."}


def unfollowed(hints: set[tuple[str, int, str]], quoted: list[str]) -> list[str]:
    """Hints that no test follows. A text that is written at several places counts as often."""
    hints = {each for each in hints if each[2] not in REPORTS}
    places = Counter(template for _, _, template in hints)
    most = {each: sum(_is(each, text) for text in quoted) for each in places}
    return sorted(f"{m}:{line}: {text}" for m, line, text in hints if most[text] < places[text])


def test_every_hint_is_followed_by_a_test() -> None:
    assert unfollowed(Package(ROOT / "jobrunner").hints(), followed()) == []
