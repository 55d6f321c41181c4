"""Every hint of the package is followed by a test: the mistake, what the hint says, success.

A new hint is followed in `tests/hints/`, or beside the test of its module: `Case(hint=...)`, or
`hinted(...)` and `assert_hint(...)` with the hint's text, in which `{}` stands for what an f-string
puts in.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

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


def test_a_hint_that_no_test_follows_is_named() -> None:
    hints = {("a.py", 1, "Give {}."), ("b.py", 2, "Give {}."), ("c.py", 3, "Leave it out.")}
    assert unfollowed(hints, ["Give one.", "Give two.", "Leave it out."]) == []
    assert unfollowed(hints, ["Give one.", "Leave it out."]) == [
        "a.py:1: Give {}.",
        "b.py:2: Give {}.",
    ]
    assert unfollowed(hints, ["Give one.", "Give two."]) == ["c.py:3: Leave it out."]


def test_hints_are_found_wherever_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "TABLE = _MESSAGES = {'a': ('problem', 'From a table.')}\n"
        "def near():\n"
        "    return 'From a function.'\n"
        "def pair():\n"
        "    return 'problem', 'From a pair.'\n"
        "def work(code, *, hint='From a default.'):\n"
        "    named = f'From {code}.'\n"
        "    _, last = pair()\n"
        "    hints = {1: 'From a dictionary.'}\n"
        "    raise Error('problem', hint=named or near() if code else last)\n"
        "    raise Error('problem', hint=hints.get(code, ''))\n"
    )
    found = {text for _, _, text in Package(tmp_path).hints()}
    sources = ("a table", "a function", "a pair", "a default", "{}", "a dictionary")
    assert found == {f"From {each}." for each in sources}
